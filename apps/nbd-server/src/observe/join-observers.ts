import type { NbdObserver } from "@img/nbd";

/** One observer that tells several. */
export function joinObservers(observers: readonly NbdObserver[]): NbdObserver {
  const answering = observers.filter((each) => each.answered !== undefined);
  return {
    connected: (client) => {
      observers.forEach((each) => each.connected?.(client));
    },
    refused: (label, error) => {
      observers.forEach((each) => each.refused?.(label, error));
    },
    ready: (client) => {
      observers.forEach((each) => each.ready?.(client));
    },
    failed: (client, error) => {
      observers.forEach((each) => each.failed?.(client, error));
    },
    disconnected: (client, reason) => {
      observers.forEach((each) => each.disconnected?.(client, reason));
    },
    // asked for with every request: not there unless somebody wants it
    ...(answering.length === 0
      ? {}
      : {
          answered: (client, request) => {
            answering.forEach((each) => each.answered?.(client, request));
          },
        }),
  };
}
