// What the package declares, as the compiler sees it: the tables of the pages are compared with it.
import { join } from 'node:path'
import ts from 'typescript'
import { root } from '../root.js'
import { exported } from './page.js'

const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config, ts.sys, root)
const host = ts.createCompilerHost(options)
const { getSourceFile } = host
const parsed = new Map<string, ts.SourceFile | undefined>()
// The programs of one page share the files that they have parsed.
host.getSourceFile = (file, ...rest) => {
  if (!parsed.has(file)) parsed.set(file, getSourceFile(file, ...rest))
  return parsed.get(file)
}

/** The declarations that one entry point of the package exports. */
export class Declared {
  readonly #checker: ts.TypeChecker
  readonly #exports: Map<string, ts.Symbol>
  readonly #source: ts.SourceFile

  /** `name`: an entry point, such as `fastify-realtime/client`, or the path of a file in lib without its extension. */
  constructor (name: string) {
    const file = join(root, `lib/${exported[name] ?? name}.ts`)
    const program = ts.createProgram([file], options, host)
    this.#checker = program.getTypeChecker()
    this.#source = program.getSourceFile(file)!
    const symbols = this.#checker.getExportsOfModule(this.#checker.getSymbolAtLocation(this.#source)!)
    this.#exports = new Map(symbols.map(symbol => [symbol.name, this.#resolved(symbol)]))
  }

  /** The public members of an interface, a class or another type, in alphabetical order. */
  membersOf (name: string): string[] {
    return membersOf(this.#checker.getDeclaredTypeOfSymbol(this.#exported(name)))
  }

  /** The members of what a function returns, in alphabetical order. */
  resultOf (name: string): string[] {
    const [signature] = this.#checker.getTypeOfSymbolAtLocation(this.#exported(name), this.#source).getCallSignatures()
    return membersOf(signature.getReturnType())
  }

  /** The texts of a union of texts, in alphabetical order. */
  textsOf (name: string): string[] {
    return textsOf(this.#checker.getDeclaredTypeOfSymbol(this.#exported(name)))
  }

  /** The texts that a member of a type may have, in alphabetical order. */
  textsOfMember (name: string, member: string): string[] {
    const symbol = this.#checker.getDeclaredTypeOfSymbol(this.#exported(name)).getProperty(member)
    return textsOf(this.#checker.getTypeOfSymbolAtLocation(symbol!, this.#source))
  }

  #exported (name: string): ts.Symbol {
    const symbol = this.#exports.get(name)
    if (symbol === undefined) throw new Error(`${this.#source.fileName} exports no '${name}'`)
    return symbol
  }

  #resolved (symbol: ts.Symbol): ts.Symbol {
    return symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol
  }
}

/** Leaves out private names and `@internal` members. The compiler names symbols `__@name@1`. */
function membersOf (type: ts.Type): string[] {
  // An overload can be internal alone.
  const isInternal = ({ declarations = [] }: ts.Symbol) =>
    declarations.length > 0 && declarations.every(declaration => ts.getJSDocTags(declaration).some(({ tagName }) => tagName.text === 'internal'))
  const members = type.getProperties().filter(symbol => !isInternal(symbol))
  return members.map(({ name }) => name.replace(/^__@(\w+)@\d+$/, '[Symbol.$1]')).filter(name => !name.startsWith('#')).sort()
}

function textsOf (type: ts.Type): string[] {
  const types = type.isUnion() ? type.types : [type]
  return types.flatMap(each => each.isStringLiteral() ? [each.value] : []).sort()
}

/** The names that the first cells of rows have, without their parameters, in alphabetical order. */
export function namesOf (rows: string[][]): string[] {
  return rows.flatMap(([cell]) => [...cell.matchAll(/`([\w.[\]]+)/g)].map(([, name]) => name)).sort()
}
