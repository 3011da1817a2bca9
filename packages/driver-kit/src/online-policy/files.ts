// Obligations of the files of an online policy in /sys/module/memory_hotplug/parameters. Kernel counterparts:
// set_online_policy() in mm/memory_hotplug.c, module_param() in include/linux/moduleparam.h.
import { run } from "@hetmem/kernel";
import { Vfs } from "@hetmem/vfs";
import { contigZones, memoryHotplugParameters, OnlinePolicies, type OnlinePolicy } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import { TEXTS, writes } from "./answers.ts";
import { policiesOf } from "./subject.ts";

const ROOT = "/sys/module/memory_hotplug/parameters";

export const chosenByName: Obligation<OnlinePolicy> = {
  name: "is chosen by its name",
  sentence:
    "The name is one word; written to online_policy it puts the policy in force, and the file shows it.",
  attempt(policy) {
    const other = { ...contigZones, name: policy.name === "other" ? "another" : "other" };
    const policies = new OnlinePolicies([other, policy]);
    const vfs = filesOf(policies);
    run(vfs.write(`${ROOT}/online_policy`, `${policy.name}\n`));
    const shown = run(vfs.read(`${ROOT}/online_policy`));
    demand(
      policies.current === policy && shown === `${policy.name}\n`,
      `${policy.name} is written to online_policy, and it shows ${JSON.stringify(shown)}`,
    );
  },
};

export const readsParametersBack: Obligation<OnlinePolicy> = {
  name: "reads its parameters back",
  sentence:
    "The text that the file of a parameter shows can be written to it and stays; a text that is refused changes nothing.",
  attempt(policy) {
    const policies = policiesOf(policy);
    const vfs = filesOf(policies);
    for (const { name } of policies.declared()) {
      const file = `${ROOT}/${name}`;
      for (const text of [undefined, ...TEXTS]) {
        const before = run(vfs.read(file));
        const accepted = text === undefined || writes(() => run(vfs.write(file, `${text}\n`)));
        const shown = run(vfs.read(file));
        demand(
          accepted || shown === before,
          `${name} refuses ${text}, and shows ${shown.trim()} for ${before.trim()}`,
        );
        const again = writes(() => run(vfs.write(file, shown)));
        const last = run(vfs.read(file));
        demand(again, `${name} shows ${shown.trim()} and refuses it`);
        demand(last === shown, `${name} shows ${shown.trim()}, and ${last.trim()} when that is written`);
      }
    }
  },
};

function filesOf(policies: OnlinePolicies): Vfs {
  const vfs = new Vfs();
  vfs.mount(memoryHotplugParameters(policies, false));
  return vfs;
}
