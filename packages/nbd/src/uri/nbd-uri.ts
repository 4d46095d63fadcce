/** How a URI says that a server is to be spoken to by TLS. */
export interface NbdUriTls {
  /** `tls-type`. Default: what the credentials are for; certificates. */
  readonly type?: "x509" | "psk";
  /** Whose key to use: what stands before the `@`. */
  readonly username?: string;
  /** `tls-hostname`: the name that the server's certificate has to have. Default: the host. */
  readonly hostname?: string;
  /** `tls-verify-peer`: `false`: anybody may be the server. Default `true`. */
  readonly verifyPeer?: boolean;
  /** `tls-certificates`: a directory with `ca-cert.pem` and maybe `client-cert.pem` and `client-key.pem`. */
  readonly certificates?: string;
  /** `tls-psk-file`: a file with lines `name:key`. */
  readonly pskFile?: string;
}

/** Where an export is, and how to get there: what an NBD URI says. */
export interface NbdUri {
  readonly transport:
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    /** A path that begins with a NUL is that of an abstract socket (Linux). */
    | { readonly kind: "unix"; readonly path: string };
  /** `""`: the server's default export. */
  readonly exportName: string;
  /** Only by TLS. Absent: in the clear. */
  readonly tls?: NbdUriTls;
}
