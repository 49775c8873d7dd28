import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist/', '.compiled/', '.tap/', 'reports/', '.stryker-tmp/', 'bench/node_modules/'] }),
  {
    // A schema and its static type share a name.
    rules: { 'no-redeclare': 'off', '@typescript-eslint/no-redeclare': 'off', '@stylistic/max-len': ['error', { code: 140, ignoreStrings: true, ignoreTemplateLiterals: true }] }
  }
]
