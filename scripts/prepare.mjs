// The end of every install of the root. After pnpm's nothing is missing; after npm's, which knows the root only, the
// workspace is.
const agent = process.env.npm_config_user_agent ?? "";
if (!agent.startsWith("pnpm/")) {
  const { install } = await import("./install.mjs");
  install({ force: true });
}
