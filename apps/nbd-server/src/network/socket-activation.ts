/** The first descriptor that systemd passes. */
const firstFd = 3;

/**
 * The descriptors of sockets that the process was started with, as systemd passes them (`LISTEN_PID`, `LISTEN_FDS`), and a server that has gone to the
 * background passes them to itself. Takes the variables out of the environment, so that nobody else takes them as meant for it.
 */
export function inheritedSockets(environment: NodeJS.ProcessEnv, pid: number): readonly number[] {
  const { LISTEN_PID: owner, LISTEN_FDS: fds } = environment;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- that is how variables leave the environment
    delete environment[name];
  }
  const isOurs = owner === String(pid) || owner === ownSockets;
  const count = isOurs && /^[1-9]\d?$/.test(fds ?? "") ? Number(fds) : 0;
  return Array.from({ length: count }, (_, index) => firstFd + index);
}

/** `LISTEN_PID` of a process that we start ourselves, whose number isn't known before. */
export const ownSockets = "img-nbd";
