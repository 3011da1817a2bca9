// `$((…))`: C's integer expressions over 64-bit two's complement numbers, as a shell has them. Numbers are BigInts,
// since an address of device memory doesn't fit in 53 bits; nothing here runs once a page.
import { ShellProblem } from "./problem.ts";

/** An expression that can't be evaluated. The shell prints the message. */
class ArithmeticProblem extends ShellProblem {
  override readonly name = "ArithmeticProblem";
}

/** Where variables are looked up and stored. */
export interface ArithmeticVariables {
  get(name: string): string | undefined;
  set(name: string, value: string): void;
}

/** A name that has to be evaluated, or a value. */
type Operand = { readonly name: string; readonly value: bigint } | { readonly value: bigint };

const TOKEN =
  /\s*(?:(0[xX][0-9a-fA-F]+|\d+)|([A-Za-z_]\w*)|(<<=|>>=|\*\*|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|[-+*/%&|^]=|[-+*/%<>=!~&|^?:(),]))/y;
/** The depth of names whose values are names. */
const DEPTH_MAX = 32;

/** The depth of expressions within expressions. */
const NESTING_MAX = 200;

/** Binary operators by how tightly they bind, loosest first. */
const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["|"],
  ["^"],
  ["&"],
  ["==", "!="],
  ["<", ">", "<=", ">="],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "%"],
  ["**"],
];

/** The value of an expression; an empty one is 0. @throws ArithmeticProblem */
export function evaluate(expression: string, variables: ArithmeticVariables): bigint {
  return evaluateNested(expression, variables, 0);
}

function evaluateNested(expression: string, variables: ArithmeticVariables, depth: number): bigint {
  if (depth > DEPTH_MAX) throw new ArithmeticProblem("expression recursion loop detected");
  if (expression.trim() === "") return 0n;
  return new Evaluation(tokenize(expression), variables, depth).whole();
}

function tokenize(expression: string): string[] {
  const tokens: string[] = [];
  const text = expression.trimEnd();
  TOKEN.lastIndex = 0;
  // Ends: each turn passes over a token.
  while (TOKEN.lastIndex < text.length) {
    const found = TOKEN.exec(text);
    if (!found) throw new ArithmeticProblem("arithmetic syntax error");
    tokens.push(found[0].trimStart());
  }
  return tokens;
}

class Evaluation {
  readonly #tokens: readonly string[];
  readonly #variables: ArithmeticVariables;
  readonly #depth: number;
  #at = 0;
  #nesting = 0;
  /** The number of enclosing branches that aren't taken: in one, nothing is assigned and nothing divides by zero. */
  #skipped = 0;

  constructor(tokens: readonly string[], variables: ArithmeticVariables, depth: number) {
    this.#tokens = tokens;
    this.#variables = variables;
    this.#depth = depth;
  }

  whole(): bigint {
    const value = this.#comma();
    if (this.#at < this.#tokens.length) throw new ArithmeticProblem("arithmetic syntax error");
    return value;
  }

  #comma(): bigint {
    let { value } = this.#assignment();
    // Ends: each turn passes over a comma.
    while (this.#accept(",")) ({ value } = this.#assignment());
    return value;
  }

  /** Reads a part that may hold others. @throws ArithmeticProblem when they are nested too deep */
  #nested(read: () => Operand): Operand {
    if (++this.#nesting > NESTING_MAX)
      throw new ArithmeticProblem(`the expression is nested more than ${NESTING_MAX} deep`);
    const operand = read();
    this.#nesting--;
    return operand;
  }

  #assignment(): Operand {
    return this.#nested(() => this.#assignmentOrValue());
  }

  #assignmentOrValue(): Operand {
    const left = this.#conditional();
    const operator = this.#tokens[this.#at] ?? "";
    if (!/^(?:=|[-+*/%&|^]=|<<=|>>=)$/.test(operator)) return left;
    if (!("name" in left)) throw new ArithmeticProblem("arithmetic syntax error");
    this.#at++;
    const right = this.#assignment().value;
    return {
      value: this.#store(
        left.name,
        operator === "=" ? right : this.#binary(operator.slice(0, -1), left.value, right),
      ),
    };
  }

  #conditional(): Operand {
    const condition = this.#level(0);
    if (!this.#accept("?")) return condition;
    const taken = this.#branch(condition.value !== 0n, () => this.#comma());
    this.#expect(":");
    const other = this.#branch(condition.value === 0n, () => this.#nested(() => this.#conditional()).value);
    return { value: condition.value === 0n ? other : taken };
  }

  #level(level: number): Operand {
    const operators = LEVELS[level];
    if (!operators) return this.#unary();
    let left = this.#level(level + 1);
    // Ends: each turn passes over an operator.
    for (;;) {
      const operator = this.#tokens[this.#at] ?? "";
      if (!operators.includes(operator)) return left;
      this.#at++;
      if (operator === "&&" || operator === "||") {
        const decided = operator === "&&" ? left.value === 0n : left.value !== 0n;
        const right = this.#branch(!decided, () => this.#level(level + 1).value);
        left = { value: decided ? BigInt(operator === "||") : BigInt(right !== 0n) };
      } else {
        left = { value: this.#binary(operator, left.value, this.#level(level + 1).value) };
      }
    }
  }

  #unary(): Operand {
    return this.#nested(() => this.#signed());
  }

  #signed(): Operand {
    const operator = this.#tokens[this.#at] ?? "";
    if (!["+", "-", "!", "~", "++", "--"].includes(operator)) return this.#postfix();
    this.#at++;
    const operand = this.#unary();
    if (operator === "++" || operator === "--") {
      if (!("name" in operand)) throw new ArithmeticProblem("arithmetic syntax error");
      return { value: this.#store(operand.name, operand.value + (operator === "++" ? 1n : -1n)) };
    }
    if (operator === "!") return { value: BigInt(operand.value === 0n) };
    if (operator === "~") return { value: wrap(~operand.value) };
    return { value: operator === "-" ? wrap(-operand.value) : operand.value };
  }

  #postfix(): Operand {
    const operand = this.#primary();
    if (!("name" in operand)) return operand;
    const step = this.#accept("++") ? 1n : this.#accept("--") ? -1n : undefined;
    if (step === undefined) return operand;
    this.#store(operand.name, operand.value + step);
    return { value: operand.value };
  }

  #primary(): Operand {
    const token = this.#tokens[this.#at++] ?? "";
    if (token === "(") {
      const value = this.#comma();
      this.#expect(")");
      return { value };
    }
    if (/^\d/.test(token)) return { value: number(token) };
    if (!/^\w+$/.test(token)) throw new ArithmeticProblem("arithmetic syntax error");
    return {
      name: token,
      value: evaluateNested(this.#variables.get(token) ?? "", this.#variables, this.#depth + 1),
    };
  }

  #binary(operator: string, a: bigint, b: bigint): bigint {
    switch (operator) {
      case "|":
        return a | b;
      case "^":
        return a ^ b;
      case "&":
        return a & b;
      case "==":
        return BigInt(a === b);
      case "!=":
        return BigInt(a !== b);
      case "<":
        return BigInt(a < b);
      case ">":
        return BigInt(a > b);
      case "<=":
        return BigInt(a <= b);
      case ">=":
        return BigInt(a >= b);
      // The processor takes a shift count modulo 64.
      case "<<":
        return wrap(a << (b & 63n));
      case ">>":
        return a >> (b & 63n);
      case "+":
        return wrap(a + b);
      case "-":
        return wrap(a - b);
      case "*":
        return wrap(a * b);
      case "**":
        if (b < 0n) throw new ArithmeticProblem("exponent less than 0");
        return power(a, b);
      default:
        if (b === 0n && this.#skipped > 0) return 0n;
        if (b === 0n) throw new ArithmeticProblem("divide by zero");
        return operator === "/" ? wrap(a / b) : a % b;
    }
  }

  #branch(taken: boolean, read: () => bigint): bigint {
    if (taken) return read();
    this.#skipped++;
    const value = read();
    this.#skipped--;
    return value;
  }

  #store(name: string, value: bigint): bigint {
    const wrapped = wrap(value);
    if (this.#skipped === 0) this.#variables.set(name, wrapped.toString());
    return wrapped;
  }

  #accept(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #expect(token: string): void {
    if (!this.#accept(token)) throw new ArithmeticProblem("arithmetic syntax error");
  }
}

function wrap(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

/** Leading zero is octal, as in C; above 64 bits the number is the largest there is, as strtoull() has it. */
function number(token: string): bigint {
  const octal = /^0\d+$/.test(token);
  if (octal && /[89]/.test(token)) throw new ArithmeticProblem("arithmetic syntax error");
  const value = BigInt(octal ? `0o${token.slice(1)}` : token);
  return wrap(value >= 1n << 64n ? (1n << 64n) - 1n : value);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = wrap(result * square);
    square = wrap(square * square);
  }
  return result;
}
