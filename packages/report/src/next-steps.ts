// Commands to type next, which work on this machine as they stand: for a device that can become RAM, a gpu, or hidden memory
// that can be probed.
import type { BootReport } from "./boot-report.ts";
import type { Paint } from "./paint.ts";
import type { MachineView } from "./view.ts";

type Step = readonly [command: string, what: string];

/**
 * Commands with the names and addresses of this machine.
 *
 * @param self the command by which the user calls hetmem
 * @param width columns of the terminal; the purpose of a command stands behind it if there is room
 */
export function nextStepLines(report: BootReport, self: string, width: number, paint: Paint): string[] {
  const steps = [...nextSteps(report, self)];
  const fits = (command: string, what: string): boolean => command.length + what.length + 4 <= width;
  const column = Math.max(
    ...steps.filter(([command, what]) => fits(command, what)).map(([command]) => command.length),
  );
  return steps.map(([command, what]) =>
    fits(command.padEnd(column), what) ? `${command.padEnd(column)}  ${paint.dim(`# ${what}`)}` : command,
  );
}

function* nextSteps({ view, sameMachine, plannable }: BootReport, self: string): Generator<Step> {
  if (plannable !== undefined) yield [`${self} plan ${plannable}${sameMachine}`, "what it would be as RAM"];
  yield [`${self} sh${sameMachine}`, "a shell on this machine; then, in it:"];
  for (const [command, what] of inTheShell(view)) yield [`  ${command}`, what];
  yield [`${self} export${sameMachine} DIR && lsmem --sysroot DIR`, "its /proc and /sys, for other programs"];
}

function* inTheShell(view: MachineView): Generator<Step> {
  const [gpu] = view.gpus;
  if (gpu !== undefined) {
    yield ["proc start app; buffer=$(proc mmap $(pidof app) 64K)", "a process with some memory"];
    yield [`gpu run ${gpu} $(pidof app) write $buffer 64K hello`, "the device writes to it"];
    yield ["proc read $(pidof app) $buffer 32", "and the process reads it"];
  }
  const hidden = view.stretches.find((stretch) => stretch.kind === "hidden");
  if (hidden) {
    const block = hidden.start / view.blockSize;
    yield [
      `echo 0x${hidden.start.toString(16)} > /sys/devices/system/memory/probe`,
      "add a memory block by hand",
    ];
    if (view.autoOnline === "offline")
      yield [`echo online_movable > /sys/devices/system/memory/memory${block}/state`, "choose its zone"];
  }
  yield hidden
    ? ["grep . /sys/devices/system/memory/memory*/valid_zones", "see what that changed"]
    : ["grep . /sys/devices/system/memory/memory*/valid_zones", "the zone of each memory block"];
}
