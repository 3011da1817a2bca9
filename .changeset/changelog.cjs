// The lines of CHANGELOGs: what a changeset says, without the hash of a commit; and which releases of the house a release asks for,
// unless they are the first ones.

/** @param {{ summary: string }} changeset */
async function getReleaseLine({ summary }) {
  const [first, ...rest] = summary.trim().split("\n");
  return [`- ${first}`, ...rest.map((line) => (line === "" ? "" : `  ${line}`))].join("\n");
}

/** @param {unknown} _changesets @param {{ name: string, oldVersion: string, newVersion: string }[]} dependencies */
async function getDependencyReleaseLine(_changesets, dependencies) {
  const later = dependencies.filter(({ oldVersion }) => oldVersion !== "0.0.0");
  if (later.length === 0) return "";
  return `- Asks for ${later.map(({ name, newVersion }) => `${name} ${newVersion}`).join(", ")}.`;
}

module.exports = { default: { getReleaseLine, getDependencyReleaseLine } };
