// The parsed form of a script: commands made of words, words made of parts that are expanded when the command
// runs. The grammar is that of POSIX sh, without job control.

/** A piece of a word. `quoted` keeps its expansion from being split into fields and from being a pattern. */
export type WordPart =
  | { readonly kind: "literal"; readonly text: string; readonly quoted: boolean }
  | {
      readonly kind: "parameter";
      readonly name: string;
      readonly operation?: ParameterOperation;
      readonly quoted: boolean;
    }
  | { readonly kind: "command"; readonly body: Command; readonly quoted: boolean }
  | { readonly kind: "arithmetic"; readonly expression: Word; readonly quoted: boolean };

export type Word = readonly WordPart[];

/** The operation of `${name…}`. */
export type ParameterOperation =
  | { readonly kind: "length" }
  | { readonly kind: ParameterOperator; readonly argument: Word };

export const PARAMETER_OPERATORS = [
  ":-",
  ":=",
  ":+",
  ":?",
  "##",
  "%%",
  "-",
  "=",
  "+",
  "?",
  "#",
  "%",
] as const;
export type ParameterOperator = (typeof PARAMETER_OPERATORS)[number];

export interface Assignment {
  readonly name: string;
  readonly value: Word;
}

export type Redirection =
  | {
      readonly kind: "read" | "write" | "append" | "duplicate";
      readonly descriptor: number;
      readonly target: Word;
    }
  | { readonly kind: "here-document"; readonly descriptor: number; readonly text: Word };

export interface SimpleCommand {
  readonly kind: "simple";
  readonly assignments: readonly Assignment[];
  readonly words: readonly Word[];
  readonly redirections: readonly Redirection[];
}

export interface CaseArm {
  readonly patterns: readonly Word[];
  readonly body: Command;
}

export type Command =
  | SimpleCommand
  | { readonly kind: "pipeline"; readonly stages: readonly Command[] }
  | { readonly kind: "not"; readonly body: Command }
  | { readonly kind: "and" | "or"; readonly left: Command; readonly right: Command }
  | { readonly kind: "sequence"; readonly commands: readonly Command[] }
  | {
      readonly kind: "if";
      readonly condition: Command;
      readonly body: Command;
      readonly otherwise: Command | undefined;
    }
  | { readonly kind: "while"; readonly until: boolean; readonly condition: Command; readonly body: Command }
  | {
      readonly kind: "for";
      readonly name: string;
      readonly words: readonly Word[] | undefined;
      readonly body: Command;
    }
  | { readonly kind: "case"; readonly subject: Word; readonly arms: readonly CaseArm[] }
  | { readonly kind: "subshell"; readonly body: Command }
  | { readonly kind: "function"; readonly name: string; readonly body: Command }
  | { readonly kind: "redirected"; readonly body: Command; readonly redirections: readonly Redirection[] };
