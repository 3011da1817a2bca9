// A terminal for the machine in the worker: a screen, and a line to type commands in.
import type { Answer, Command } from "./messages.ts";

const screen = element("#screen", HTMLPreElement);
const form = element("form", HTMLFormElement);
const line = element("input", HTMLInputElement);
const worker = new Worker("worker.js", { type: "module" });

worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
  screen.append(data.kind === "booted" ? `Linux ${data.release} has booted\n` : data.output);
  line.disabled = false;
  line.focus();
});
worker.addEventListener("error", ({ message }) => screen.append(`the machine has stopped: ${message}\n`));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const command: Command = { text: line.value };
  screen.append(`# ${command.text}\n`);
  line.value = "";
  line.disabled = true;
  worker.postMessage(command);
});

function element<E extends Element>(selector: string, kind: new () => E): E {
  const found = document.querySelector(selector);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${selector}`);
}
