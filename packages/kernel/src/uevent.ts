// Uevents: messages to user space about devices. Kernel counterpart: lib/kobject_uevent.c.

/** The event that a uevent announces. @see kobject_actions[] in lib/kobject_uevent.c */
export type UeventAction = "add" | "remove" | "change" | "move" | "online" | "offline" | "bind" | "unbind";

/** A message about one device. */
export interface Uevent {
  readonly action: UeventAction;
  /** Path of the device below /sys. */
  readonly devpath: string;
  readonly subsystem: string;
  readonly env: Readonly<Record<string, string>>;
  readonly seqnum: number;
}

/** Receives each uevent when it is sent, as udev does. */
export type UeventListener = (event: Uevent) => void;

/** Sends uevents to the listeners of a machine, with rising sequence numbers. */
export class Uevents {
  readonly #listeners = new Set<UeventListener>();
  #seqnum = 0;

  /** @see kobject_uevent_env() */
  send(
    action: UeventAction,
    devpath: string,
    subsystem: string,
    env: Readonly<Record<string, string>> = {},
  ): void {
    const event: Uevent = { action, devpath, subsystem, env, seqnum: ++this.#seqnum };
    for (const listener of this.#listeners) listener(event);
  }

  subscribe(listener: UeventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
