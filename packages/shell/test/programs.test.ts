// Programs on /sys and /proc, in the texts that the captures have.
import { describe, expect, test } from "vitest";
import { testShell } from "./test-shell.ts";

const MEMORY = "/sys/devices/system/memory";
const NODES = "/sys/devices/system/node";

describe("ls", () => {
  test("sorts bytewise, one name a line", () => {
    const { sh } = testShell();
    expect(sh(`ls ${MEMORY}`).output).toBe("block_size_bytes\nmemory0\nmemory1\nmemory10\nmemory8\nprobe\n");
  });

  test("-la has busybox's columns", () => {
    const { sh } = testShell();
    expect(sh(`ls -la ${MEMORY}/memory8/`).output).toBe(
      [
        "total 0",
        "drwxr-xr-x    3 0        0                0 Jan  1 00:00 .",
        "drwxr-xr-x    6 0        0                0 Jan  1 00:00 ..",
        "lrwxrwxrwx    1 0        0                0 Jan  1 00:00 node1 -> ../../node/node1",
        "drwxr-xr-x    2 0        0                0 Jan  1 00:00 power",
        "-r--r--r--    1 0        0             4096 Jan  1 00:00 removable",
        "-rw-r--r--    1 0        0             4096 Jan  1 00:00 state",
        "-r--r--r--    1 0        0             4096 Jan  1 00:00 valid_zones",
        "",
      ].join("\n"),
    );
  });

  test("several operands are sorted, files first, directories with a title", () => {
    const { sh } = testShell();
    expect(sh(`ls ${NODES}/node1 ${NODES}/online ${NODES}/node0`).output).toBe(
      `${NODES}/online\n\n${NODES}/node0:\ncpulist\ndistance\nmeminfo\n\n${NODES}/node1:\ncpulist\ndistance\nmeminfo\n`,
    );
  });

  test("-l shows a device's numbers in place of a size", () => {
    const { sh, vfs } = testShell();
    vfs.mount({
      root: "/dev",
      files: { "dax0.0": { mode: 0o600, device: { major: 252, minor: 0 }, show: () => "" } },
    });
    expect(sh("ls -la /dev/dax0.0").output).toBe(
      "crw-------    1 0        0         252,   0 Jan  1 00:00 /dev/dax0.0\n",
    );
  });
});

describe("grep", () => {
  test("names the file only when there are several", () => {
    const { sh } = testShell({ blocks: ["32"] });
    expect(sh(`grep . ${MEMORY}/memory3[2-9]/state`).output).toBe("online\n");
    const two = testShell({ blocks: ["32", "33"] });
    expect(two.sh(`grep . ${MEMORY}/memory3[2-9]/state`).output).toBe(
      `${MEMORY}/memory32/state:online\n${MEMORY}/memory33/state:online\n`,
    );
  });

  test("a directory among the files is an error that stands where it was met", () => {
    const { sh } = testShell();
    expect(sh(`grep . ${NODES}/*`)).toMatchObject({
      output: [
        `grep: ${NODES}/node0: Is a directory`,
        `grep: ${NODES}/node1: Is a directory`,
        `${NODES}/online:0-1`,
        `${NODES}/possible:0-2`,
        `grep: ${NODES}/power: Is a directory`,
        "",
      ].join("\n"),
      status: 2,
    });
  });

  test("a pattern that no name matches is a file that isn't there", () => {
    const { sh } = testShell();
    expect(sh(`grep . ${MEMORY}/memory3?/state`)).toMatchObject({
      output: `grep: ${MEMORY}/memory3?/state: No such file or directory\n`,
      status: 2,
    });
  });

  test("-r reads below a directory, names files and leaves links alone", () => {
    const { sh } = testShell({ blocks: ["8"] });
    expect(sh(`grep -r . ${MEMORY}/memory8 | sort`).output).toBe(
      `${MEMORY}/memory8/removable:1\n${MEMORY}/memory8/state:online\n${MEMORY}/memory8/valid_zones:DMA32\n`,
    );
  });

  test("lines around a match are separated by two dashes, and their names by one", () => {
    const { sh } = testShell();
    sh("seq 9 > /tmp/n");
    expect(sh("grep -A1 '[27]' /tmp/n").output).toBe("2\n3\n--\n7\n8\n");
    expect(sh("grep -H -n -B1 2 /tmp/n").output).toBe("/tmp/n-1-1\n/tmp/n:2:2\n");
    expect(sh("grep -C1 -e 2 -e 4 /tmp/n").output).toBe("1\n2\n3\n4\n5\n");
  });
});

describe("find and readlink", () => {
  test("find goes as deep as it is told and doesn't follow links", () => {
    const { sh } = testShell();
    expect(sh(`find ${MEMORY} -maxdepth 1 -name 'memory[0-9]*' | sort`).output).toBe(
      ["0", "1", "10", "8"].map((block) => `${MEMORY}/memory${block}\n`).join(""),
    );
    expect(sh(`find ${MEMORY}/memory8/ -type l`).output).toBe(`${MEMORY}/memory8/node1\n`);
  });

  test("readlink prints the target, and nothing where there is no link", () => {
    const { sh } = testShell();
    expect(sh(`readlink ${MEMORY}/memory8/node1`).output).toBe("../../node/node1\n");
    expect(sh(`readlink ${MEMORY}/memory8/driver`)).toMatchObject({ output: "", status: 1 });
    expect(sh(`readlink -f ${MEMORY}/memory8/node1`).output).toBe(`${NODES}/node1\n`);
  });
});

describe("lsmem", () => {
  test("-a has a line a block, and offline ones leave REMOVABLE empty", () => {
    const { sh } = testShell({ blocks: ["0", "1", "32"] });
    sh(`echo offline > ${MEMORY}/memory32/state`);
    expect(sh("lsmem -a").output).toBe(
      [
        "RANGE                                  SIZE   STATE REMOVABLE BLOCK",
        "0x0000000000000000-0x0000000007ffffff  128M  online       yes     0",
        "0x0000000008000000-0x000000000fffffff  128M  online       yes     1",
        "0x0000000100000000-0x0000000107ffffff  128M offline              32",
        "",
        "Memory block size:       128M",
        "Total online memory:     256M",
        "Total offline memory:    128M",
        "",
      ].join("\n"),
    );
  });

  test("--output-all splits ranges by node and zone", () => {
    const { sh } = testShell({ blocks: Array.from({ length: 16 }, (_, index) => `${index}`) });
    expect(sh("lsmem --output-all").output).toBe(
      [
        "RANGE                                  SIZE  STATE REMOVABLE BLOCK NODE ZONES",
        "0x0000000000000000-0x0000000007ffffff  128M online       yes     0    0  None",
        "0x0000000008000000-0x000000003fffffff  896M online       yes   1-7    0 DMA32",
        "0x0000000040000000-0x000000007fffffff    1G online       yes  8-15    1 DMA32",
        "",
        "Memory block size:       128M",
        "Total online memory:       2G",
        "Total offline memory:      0B",
        "",
      ].join("\n"),
    );
  });

  test("-J is JSON in util-linux's layout", () => {
    const { sh } = testShell({ blocks: ["0", "1", "4"] });
    const { output } = sh("lsmem -J");
    expect(
      output.startsWith(
        '{\n   "memory": [\n      {\n         "range": "0x0000000000000000-0x000000000fffffff",\n',
      ),
    ).toBe(true);
    expect(JSON.parse(output)).toEqual({
      memory: [
        {
          range: "0x0000000000000000-0x000000000fffffff",
          size: "256M",
          state: "online",
          removable: true,
          block: "0-1",
        },
        {
          range: "0x0000000020000000-0x0000000027ffffff",
          size: "128M",
          state: "online",
          removable: true,
          block: "4",
        },
      ],
    });
  });

  test("sizes have one digit behind the point at most", () => {
    const { sh } = testShell({ blocks: Array.from({ length: 14 }, (_, index) => `${index}`) });
    expect(sh("lsmem | grep 'online mem'").output).toBe("Total online memory:     1.8G\n");
  });
});

test("numactl -H prints nodes, sizes and distances", () => {
  const { sh } = testShell();
  expect(sh("numactl -H").output).toBe(
    [
      "available: 2 nodes (0-1)",
      "node 0 cpus: 0",
      "node 0 size: 1006 MB",
      "node 0 free: 977 MB",
      "node 1 cpus: 1",
      "node 1 size: 1006 MB",
      "node 1 free: 977 MB",
      "node distances:",
      "node   0   1 ",
      "  0:  10  21 ",
      "  1:  21  10 ",
      "",
    ].join("\n"),
  );
});

test("dmesg, uname and sleep ask the machine", () => {
  const { sh, kernel } = testShell();
  expect(sh("sleep 2; uname -r").output).toBe("6.1.192-oracle\n");
  kernel.log.printk(6, "Policy zone: DMA32");
  expect(sh("dmesg | tail -1").output).toBe("[    2.000000] Policy zone: DMA32\n");
});
