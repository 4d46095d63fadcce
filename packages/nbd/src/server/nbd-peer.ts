/** Who is connected, as far as is known. */
export interface NbdPeer {
  /** Counts from 1 in each server. */
  readonly id: number;
  /** The stream's label: `tcp:192.0.2.1:40112`. */
  readonly label: string;
  /** Whether the connection is protected by TLS. */
  readonly secure: boolean;
  /** Who the client has proved to be: the subject of its certificate or the name of its key. */
  readonly identity: string | undefined;
  /** The export that it uses; `undefined` during the handshake. */
  readonly exportName: string | undefined;
}
