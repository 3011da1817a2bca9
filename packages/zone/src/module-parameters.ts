// Parameters of a kernel module: files under /sys/module/NAME/parameters, typed by their declarations. A declaration is a
// constant; each machine keeps values of its own. Kernel counterpart: module_param() and struct kernel_param in
// include/linux/moduleparam.h.
import { kstrtobool, kstrtouint } from "@hetmem/kernel";

export interface ModuleParameter<Value> {
  /** The name of the file. */
  readonly name: string;
  /** The value at boot. */
  readonly initial: Value;
  /** The value of a written text. @throws KernelError EINVAL for a text that has none */
  parse(text: string): Value;
  /** The text of a value, as a read shows it before the newline. */
  format(value: Value): string;
}

/** A parameter that is an unsigned number of 32 bits. @see param_ops_uint */
export function uintParameter(name: string, initial: number): ModuleParameter<number> {
  return { name, initial, parse: kstrtouint, format: String };
}

/** A parameter that is Y or N. @see param_ops_bool */
export function boolParameter(name: string, initial: boolean): ModuleParameter<boolean> {
  return { name, initial, parse: kstrtobool, format: (value) => (value ? "Y" : "N") };
}

/** The values of a machine's parameters. */
export class ModuleParameters {
  /** The accepted texts, by parameter. A parameter that was never written has its initial value. */
  readonly #texts = new Map<ModuleParameter<unknown>, string>();

  get<Value>(parameter: ModuleParameter<Value>): Value {
    const text = this.#texts.get(parameter);
    return text === undefined ? parameter.initial : parameter.parse(text);
  }

  set<Value>(parameter: ModuleParameter<Value>, value: Value): void {
    this.write(parameter, parameter.format(value));
  }

  /** Sets a value by its text. @throws KernelError EINVAL for a text without one; the value stays then */
  write(parameter: ModuleParameter<unknown>, text: string): void {
    parameter.parse(text);
    this.#texts.set(parameter, text);
  }

  /** The text of the value. */
  read(parameter: ModuleParameter<unknown>): string {
    return parameter.format(this.get(parameter));
  }
}
