// Runs at the end of every install of the root. pnpm has nothing left to do then; after npm, the workspace is still missing.
const byPnpm = (process.env["npm_config_user_agent"] ?? "").startsWith("pnpm/");
if (!byPnpm) {
  const { install } = await import("./install.mjs");
  install({ force: true });
}
