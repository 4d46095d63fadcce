import { ImgError, isImgError } from "@img/format-core";
import { serializeExportEntry } from "../protocol/export-entry.ts";
import { serializeExportNameReply } from "../protocol/export-name-reply.ts";
import { parseClientFlags, serializeGreeting } from "../protocol/greeting.ts";
import { handshakeFlags, infoTypes, optionTypes, replyTypes, stringLimit } from "../protocol/handshake-numbers.ts";
import { serializeInfoItem, type InfoItem } from "../protocol/info-item.ts";
import { parseInfoRequest, type InfoRequest } from "../protocol/info-request.ts";
import { parseMetaContextRequest, serializeMetaContextReply } from "../protocol/meta-context.ts";
import { serializeOptionReply } from "../protocol/option-reply.ts";
import { parseOption, type NbdOption } from "../protocol/option.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import type { ReplyStyle } from "../protocol/reply.ts";
import { decodeText } from "../protocol/wire-reader.ts";
import { clipText } from "../protocol/wire-writer.ts";
import { ConnectionInput } from "./connection-input.ts";
import { blockSizeOf, transmissionFlagsOf } from "./export-features.ts";
import type { ExportHolder } from "./export-holder.ts";
import type { NamedExport, NbdExportSource } from "./export-source.ts";
import { OptionRefusal } from "./option-refusal.ts";
import { listedContexts, selectContexts, type SelectedContexts } from "./selected-contexts.ts";
import type { ConnectionState } from "./server-connection.ts";
import type { ServerSettings } from "./server-options.ts";

/** Most bytes of an option: a name and some queries of 4096 bytes. */
const optionLimit = 64 * 1024;
/** Options that a client may send besides for each export that it was listed: information, contexts, and some to spare. */
const optionsPerExport = 4;
const noData = new Uint8Array();

/** What a handshake has agreed on. */
export interface Negotiated extends NamedExport {
  readonly style: ReplyStyle;
  readonly contexts: SelectedContexts | undefined;
}

/** The server's side of the fixed newstyle handshake, from the greeting to the first request. */
export class Handshake {
  readonly #state: ConnectionState;
  readonly #settings: ServerSettings;
  readonly #source: NbdExportSource;
  readonly #holder: ExportHolder;
  #input: ConnectionInput;
  #fixed = true;
  #zeroes = false;
  #style: ReplyStyle = "simple";
  #contexts: SelectedContexts | undefined;
  #optionsLeft: number;
  #listed = false;

  constructor(state: ConnectionState, settings: ServerSettings, source: NbdExportSource, holder: ExportHolder) {
    this.#state = state;
    this.#settings = settings;
    this.#source = source;
    this.#holder = holder;
    this.#input = state.input;
    this.#optionsLeft = settings.maxOptions;
  }

  /**
   * @returns what was agreed on; `undefined` when the client has left, as it may
   * @throws ImgError `EPROTO` or `ERR_IMG_LIMIT` when there is no way to go on but to drop the connection
   */
  async run(): Promise<Negotiated | undefined> {
    await this.#state.stream.write([serializeGreeting(handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes)]);
    const flags = await this.#next(() => parseClientFlags(this.#input.queue));
    if (flags === undefined) {
      return undefined;
    }
    if (flags > (handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes)) {
      throw protocolError(`handshake flags 0x${flags.toString(16)} that weren't offered`);
    }
    this.#fixed = (flags & handshakeFlags.fixedNewstyle) !== 0;
    this.#zeroes = (flags & handshakeFlags.noZeroes) === 0;
    for (;;) {
      const option = await this.#next(() => parseOption(this.#input.queue, optionLimit));
      if (option === undefined) {
        return undefined;
      }
      this.#count();
      const outcome = await this.#answer(option);
      if (outcome !== "go on") {
        return outcome === "leave" ? undefined : outcome;
      }
    }
  }

  #count(): void {
    this.#optionsLeft--;
    if (this.#optionsLeft < 0) {
      throw new ImgError("ERR_IMG_LIMIT", "too many options during one handshake");
    }
  }

  async #next<T>(parse: () => T | undefined): Promise<T | undefined> {
    for (;;) {
      const parsed = parse();
      if (parsed !== undefined) {
        return parsed;
      }
      if ((await this.#input.fill()) !== "more") {
        return undefined;
      }
    }
  }

  async #answer({ option, data }: NbdOption): Promise<"go on" | "leave" | Negotiated> {
    if (!this.#fixed && option !== optionTypes.exportName) {
      throw protocolError(`option ${option} of a client that isn't fixed newstyle`);
    }
    if (option === optionTypes.exportName) {
      return this.#exportName(data);
    }
    if (option === optionTypes.abort) {
      // the client may be gone already, as it has said that it would
      await this.#reply(option, replyTypes.ack).catch(() => undefined);
      return "leave";
    }
    try {
      this.#checkPolicy(option);
      if (option === optionTypes.info || option === optionTypes.go) {
        const negotiated = await this.#info(option, parseInfoRequest(data));
        return option === optionTypes.go ? negotiated : "go on";
      }
      await this.#answerOther({ option, data });
    } catch (error) {
      await this.#refuse(option, error);
    }
    return "go on";
  }

  #checkPolicy(option: number): void {
    if (this.#state.isStopping) {
      throw new OptionRefusal(replyTypes.errShutdown, "the server is shutting down");
    }
    if (this.#tlsMissing() && option !== optionTypes.startTls) {
      throw new OptionRefusal(replyTypes.errTlsReqd, "this server is used with TLS only");
    }
  }

  #tlsMissing(): boolean {
    return this.#settings.tls?.mode === "required" && !this.#state.client.secure;
  }

  async #refuse(option: number, error: unknown): Promise<void> {
    if (error instanceof OptionRefusal) {
      await this.#reply(option, error.type, clipText(error.message, stringLimit));
    } else if (isImgError(error, "EPROTO")) {
      await this.#reply(option, replyTypes.errInvalid, clipText(error.message, stringLimit));
    } else {
      throw error;
    }
  }

  async #answerOther({ option, data }: NbdOption): Promise<void> {
    switch (option) {
      case optionTypes.list:
        checkEmpty(data);
        return this.#list();
      case optionTypes.startTls:
        checkEmpty(data);
        return this.#startTls();
      case optionTypes.structuredReply:
        checkEmpty(data);
        return this.#structuredReply();
      case optionTypes.extendedHeaders:
        checkEmpty(data);
        return this.#extendedHeaders();
      case optionTypes.listMetaContext:
        return this.#listContexts(data);
      case optionTypes.setMetaContext:
        return this.#setContexts(data);
      default:
        throw new OptionRefusal(replyTypes.errUnsup, `option ${option} isn't known`);
    }
  }

  async #exportName(data: Uint8Array): Promise<Negotiated> {
    const name = decodeText(data, "an export's name");
    // there is no reply that says no
    if (this.#style === "extended" || this.#tlsMissing() || this.#state.isStopping) {
      throw protocolError("NBD_OPT_EXPORT_NAME where it isn't allowed");
    }
    const negotiated = await this.#negotiate(name);
    if (blockSizeOf(negotiated.export).minimum > 1) {
      throw protocolError(`NBD_OPT_EXPORT_NAME for an export that asks for aligned requests`);
    }
    const reply = { size: negotiated.export.size, flags: this.#flagsOf(negotiated) };
    await this.#state.stream.write([serializeExportNameReply(reply, this.#zeroes)]);
    return negotiated;
  }

  async #info(option: number, { name, infos }: InfoRequest): Promise<Negotiated> {
    const negotiated = await this.#negotiate(name);
    const { export: exported } = negotiated;
    const blockSize = blockSizeOf(exported);
    const wanted = new Set(infos);
    const items: Exclude<InfoItem, { kind: "unknown" }>[] = [
      { kind: "export", size: exported.size, flags: this.#flagsOf(negotiated) },
    ];
    if (wanted.has(infoTypes.name)) {
      items.push({ kind: "name", name: negotiated.name });
    }
    if (wanted.has(infoTypes.description) && exported.description !== undefined) {
      items.push({ kind: "description", description: exported.description });
    }
    if (wanted.has(infoTypes.blockSize) || blockSize.minimum > 1) {
      items.push({ kind: "blockSize", ...blockSize });
    }
    const replies = items.map((item) =>
      serializeOptionReply({ option, type: replyTypes.info, data: serializeInfoItem(item) }),
    );
    if (blockSize.minimum > 1 && !wanted.has(infoTypes.blockSize)) {
      await this.#state.stream.write(replies);
      throw new OptionRefusal(
        replyTypes.errBlockSizeReqd,
        `requests have to be multiples of ${blockSize.minimum} bytes: ask for NBD_INFO_BLOCK_SIZE`,
      );
    }
    replies.push(serializeOptionReply({ option, type: replyTypes.ack, data: noData }));
    await this.#state.stream.write(replies);
    return negotiated;
  }

  #flagsOf({ export: exported, style, contexts }: Negotiated): number {
    return transmissionFlagsOf(exported, style, contexts !== undefined && contexts.byId.size > 0);
  }

  async #negotiate(name: string): Promise<Negotiated> {
    const found = await this.#open(name);
    const contexts = this.#contexts?.exportName === name ? this.#contexts : undefined;
    // opened anew in the meantime, an export may have got other contexts of the same names
    const known = new Map((found.export.contexts ?? []).map((context) => [context.name, context]));
    const byId = new Map(
      [...(contexts?.byId ?? [])].flatMap(([id, context]) => {
        const current = known.get(context.name);
        return current === undefined ? [] : [[id, current] as const];
      }),
    );
    return { ...found, style: this.#style, contexts: { exportName: name, byId } };
  }

  async #open(name: string): Promise<NamedExport> {
    const found = await this.#find(name);
    if (found === undefined) {
      throw new OptionRefusal(replyTypes.errUnknown, `there is no export "${shortened(name)}"`);
    }
    if (found.export.tlsRequired === true && !this.#state.client.secure) {
      throw new OptionRefusal(replyTypes.errTlsReqd, `the export "${shortened(name)}" is used with TLS only`);
    }
    return found;
  }

  async #find(name: string): Promise<NamedExport | undefined> {
    try {
      return await this.#holder.open(name);
    } catch (error) {
      // why it can't be opened is nothing for strangers
      this.#settings.observer?.failed?.(this.#state.client, error);
      throw new OptionRefusal(replyTypes.errPlatform, `the export "${shortened(name)}" can't be opened`);
    }
  }

  async #list(): Promise<void> {
    if (this.#source.list === undefined) {
      throw new OptionRefusal(replyTypes.errPolicy, "this server doesn't list its exports");
    }
    const entries = await this.#source.list(this.#state.client);
    const replies = entries.map((entry) =>
      serializeOptionReply({ option: optionTypes.list, type: replyTypes.server, data: serializeExportEntry(entry) }),
    );
    replies.push(serializeOptionReply({ option: optionTypes.list, type: replyTypes.ack, data: noData }));
    if (!this.#listed) {
      this.#listed = true;
      this.#optionsLeft += optionsPerExport * entries.length;
    }
    await this.#state.stream.write(replies);
  }

  async #startTls(): Promise<void> {
    const { tls } = this.#settings;
    if (this.#state.client.secure) {
      throw new OptionRefusal(replyTypes.errInvalid, "the connection uses TLS already");
    }
    if (tls === undefined) {
      throw new OptionRefusal(replyTypes.errPolicy, "this server has no TLS");
    }
    if (this.#input.queue.length > 0) {
      throw new ImgError("ERR_IMG_DENIED", "bytes in the clear behind NBD_OPT_STARTTLS");
    }
    await this.#reply(optionTypes.startTls, replyTypes.ack);
    // nothing that was said in the clear counts
    this.#style = "simple";
    this.#contexts = undefined;
    await this.#holder.release();
    this.#input = await this.#state.secure(tls);
  }

  async #structuredReply(): Promise<void> {
    if (this.#settings.replies === "simple") {
      throw new OptionRefusal(replyTypes.errUnsup, "structured replies are turned off");
    }
    if (this.#style === "extended") {
      throw new OptionRefusal(replyTypes.errExtHeaderReqd, "extended headers were agreed on already");
    }
    if (this.#style === "structured") {
      throw new OptionRefusal(replyTypes.errInvalid, "structured replies were agreed on already");
    }
    this.#style = "structured";
    await this.#reply(optionTypes.structuredReply, replyTypes.ack);
  }

  async #extendedHeaders(): Promise<void> {
    if (this.#settings.replies !== "extended") {
      throw new OptionRefusal(replyTypes.errUnsup, "extended headers are turned off");
    }
    if (this.#style === "extended") {
      throw new OptionRefusal(replyTypes.errInvalid, "extended headers were agreed on already");
    }
    this.#style = "extended";
    await this.#reply(optionTypes.extendedHeaders, replyTypes.ack);
  }

  async #listContexts(data: Uint8Array): Promise<void> {
    const { name, queries } = parseMetaContextRequest(data);
    const found = await this.#open(name);
    const replies = listedContexts(found.export, queries).map((context) =>
      serializeMetaContextReply({ id: 0, name: context.name }),
    );
    await this.#replyContexts(optionTypes.listMetaContext, replies);
  }

  async #setContexts(data: Uint8Array): Promise<void> {
    // whatever comes of it, what was selected before is selected no more
    this.#contexts = undefined;
    if (this.#style === "simple") {
      throw new OptionRefusal(replyTypes.errInvalid, "contexts need structured replies");
    }
    const { name, queries } = parseMetaContextRequest(data);
    const found = await this.#open(name);
    const selected = selectContexts(found.export, name, queries);
    const replies = [...selected.byId].map(([id, context]) => serializeMetaContextReply({ id, name: context.name }));
    await this.#replyContexts(optionTypes.setMetaContext, replies);
    this.#contexts = selected;
  }

  async #replyContexts(option: number, contexts: readonly Uint8Array[]): Promise<void> {
    const replies = contexts.map((data) => serializeOptionReply({ option, type: replyTypes.metaContext, data }));
    await this.#state.stream.write([...replies, serializeOptionReply({ option, type: replyTypes.ack, data: noData })]);
  }

  async #reply(option: number, type: number, data: Uint8Array = noData): Promise<void> {
    await this.#state.stream.write([serializeOptionReply({ option, type, data })]);
  }
}

function checkEmpty(data: Uint8Array): void {
  if (data.length > 0) {
    throw new OptionRefusal(replyTypes.errInvalid, `${data.length} bytes of data where none belong`);
  }
}

function shortened(name: string): string {
  return name.length > 80 ? `${name.slice(0, 80)}…` : name;
}
