/**
 * Types of truesocket.js, the browser's side of truesocket.
 *
 *     import { io, type Socket } from "/socket.io/truesocket.mjs";
 *
 *     interface FromServer { news: (text: string) => void }
 *     interface ToServer { say: (text: string, answer: (heard: boolean) => void) => void }
 *     const socket: Socket<FromServer, ToServer> = io();
 *
 * Without the two interfaces every event name and every argument is allowed.
 */

type Listener = (...args: any[]) => void;

/** A map from event names to the listeners of that event. */
export interface AnyEvents {
  [event: string]: Listener;
}

type Names<Events> = Extract<keyof Events, string>;
type Args<F> = F extends (...args: infer A) => any ? A : never;
type Last<T extends any[]> = T extends [...any[], infer L] ? L : never;
type AllButLast<T extends any[]> = T extends [...infer Rest, any] ? Rest : never;
/** The first argument that the server's answer has. */
type Answer<F> = any[] extends Args<F> ? any : Last<Args<F>> extends (first: infer A, ...rest: any[]) => any ? A : any;
/** What emitWithAck takes: the arguments without the callback; any, where the events are not described. */
type WithoutAck<F> = any[] extends Args<F> ? any[] : Last<Args<F>> extends Listener ? AllButLast<Args<F>> : Args<F>;
/** After timeout(ms) the callback gets an error first. */
type WithError<F> = any[] extends Args<F>
  ? any[]
  : Last<Args<F>> extends (...answer: infer A) => any
    ? [...AllButLast<Args<F>>, (error: Error | null, ...answer: A) => void]
    : Args<F>;

declare class Emitter<Events> {
  on<E extends Names<Events>>(event: E, listener: Events[E]): this;
  once<E extends Names<Events>>(event: E, listener: Events[E]): this;
  /** Without a listener: all of that event. Without an event: all. */
  off<E extends Names<Events>>(event?: E, listener?: Events[E]): this;
  addListener<E extends Names<Events>>(event: E, listener: Events[E]): this;
  addEventListener<E extends Names<Events>>(event: E, listener: Events[E]): this;
  removeListener<E extends Names<Events>>(event?: E, listener?: Events[E]): this;
  removeEventListener<E extends Names<Events>>(event?: E, listener?: Events[E]): this;
  removeAllListeners<E extends Names<Events>>(event?: E): this;
  listeners<E extends Names<Events>>(event: E): Events[E][];
  hasListeners(event: Names<Events>): boolean;
}

export type Transport = "websocket" | "polling";

export type DisconnectReason =
  | "io server disconnect"
  | "io client disconnect"
  | "ping timeout"
  | "transport close"
  | "transport error"
  | "parse error"
  | "forced close";

export interface DisconnectDetails {
  /** In words, for a log. */
  description: string;
  context?: unknown;
}

/** What a refused connection brings: the server's own message and data. */
export interface ConnectError extends Error {
  data?: any;
  /** "TransportError" if the server could not be reached at all. */
  type?: string;
}

export type Auth = { [key: string]: any } | ((give: (auth?: { [key: string]: any }) => void) => void);

/** All times are in milliseconds. */
export interface ManagerOptions {
  /** Where the server listens, under the origin. Default: "/socket.io/" */
  path: string;
  /** Goes into the URL of the connection. */
  query: { [key: string]: string };
  /** Those allowed. WebSocket is tried first, whatever the order. Default: both */
  transports: Transport[];
  /** Come back by itself after the connection was lost. Default: true */
  reconnection: boolean;
  /** Default: Infinity */
  reconnectionAttempts: number;
  /** Before the first attempt; doubles with each one. Default: 1000 */
  reconnectionDelay: number;
  /** Default: 5000 */
  reconnectionDelayMax: number;
  /** How far a delay is spread at random: 0.5 is up to 50 % either way. Default: 0.5 */
  randomizationFactor: number;
  /** For one attempt to connect; false: no limit. Default: 20000 */
  timeout: number | false;
  /** Default: true */
  autoConnect: boolean;
  /** Send cookies with long-polling to another origin (a WebSocket always sends them). Default: false */
  withCredentials: boolean;
  /** Another WebSocket class, for tests and for Node before 22. */
  WebSocket: new (url: string) => unknown;
}

export interface SocketOptions {
  /** Goes to the server's connect handler; a function is asked again for each connection. */
  auth: Auth;
  /** Default timeout of every emit that wants an ack. Default: none */
  ackTimeout: number;
  /**
   * Every emit that is not volatile is repeated so often until the server has answered; one at a time, in order. A
   * truesocket server runs the handler of a repeated event once. Default: 0
   */
  retries: number;
}

export interface Options extends ManagerOptions, SocketOptions {
  /** A connection of its own, not shared with other io() calls. Default: false */
  forceNew: boolean;
  /** false: the same as forceNew. Default: true */
  multiplex: boolean;
}

interface SocketEvents {
  connect: () => void;
  connect_error: (error: ConnectError) => void;
  disconnect: (reason: DisconnectReason, details?: DisconnectDetails) => void;
}

/** One namespace of one connection: what `io()` returns. */
export declare class Socket<Listen = AnyEvents, Emit = Listen>
  extends Emitter<Omit<Listen, keyof SocketEvents> & SocketEvents> {
  /** Sent when the namespace is asked for; may be changed before connect(). */
  auth: Auth | undefined;
  /** The server's name for this socket (`request.sid`); undefined while not connected. */
  readonly id: string | undefined;
  readonly connected: boolean;
  readonly disconnected: boolean;
  /** Connected, or coming (back) by itself. */
  readonly active: boolean;
  /** Whether the server has given back the sid, the rooms and all missed events of the connection before. */
  readonly recovered: boolean;
  /** What is really in use; null while not connected. */
  readonly transport: Transport | null;
  readonly nsp: string;
  readonly io: Manager;

  connect(): this;
  open(): this;
  disconnect(): this;
  close(): this;

  /** If the last argument is a function, it is called with the server's answer. */
  emit<E extends Names<Emit>>(event: E, ...args: Args<Emit[E]>): this;
  /** Fulfilled with the server's answer; rejected if none can come any more. */
  emitWithAck<E extends Names<Emit>>(event: E, ...args: WithoutAck<Emit[E]>): Promise<Answer<Emit[E]>>;
  /** Emits "message". */
  send(...args: any[]): this;
  /** For the next emit: an error if no answer came in time. */
  timeout(milliseconds: number): Timed<Emit>;
  /** For the next emit: dropped, not kept, if it cannot go out at once. */
  readonly volatile: this;

  onAny(listener: (event: string, ...args: any[]) => void): this;
  prependAny(listener: (event: string, ...args: any[]) => void): this;
  offAny(listener?: (event: string, ...args: any[]) => void): this;
  onAnyOutgoing(listener: (event: string, ...args: any[]) => void): this;
  offAnyOutgoing(listener?: (event: string, ...args: any[]) => void): this;
}

/** A socket after timeout(ms). */
export interface Timed<Emit> {
  emit<E extends Names<Emit>>(event: E, ...args: WithError<Emit[E]>): unknown;
  emitWithAck<E extends Names<Emit>>(event: E, ...args: WithoutAck<Emit[E]>): Promise<Answer<Emit[E]>>;
  readonly volatile: Timed<Emit>;
}

interface ManagerEvents {
  open: () => void;
  error: (error: ConnectError) => void;
  ping: () => void;
  close: (reason: DisconnectReason, details?: DisconnectDetails) => void;
  reconnect_attempt: (attempt: number) => void;
  reconnect: (attempt: number) => void;
  reconnect_error: (error: ConnectError) => void;
  reconnect_failed: () => void;
}

/** Keeps one connection to one server, and shares it between namespaces. */
export declare class Manager extends Emitter<ManagerEvents> {
  constructor(options?: Partial<ManagerOptions & SocketOptions>);
  constructor(url: string, options?: Partial<ManagerOptions & SocketOptions>);

  /** May be changed; what concerns the connection takes effect with the next one. */
  readonly opts: ManagerOptions & Partial<Options>;
  /** The present connection, or the last one. */
  readonly engine: { readonly id: string | null; readonly transport: { readonly name: Transport } | null } | null;
  readonly state: "idle" | "opening" | "open" | "waiting";

  socket<Listen = AnyEvents, Emit = Listen>(namespace?: string, options?: Partial<SocketOptions>): Socket<Listen, Emit>;
  open(callback?: (error?: Error) => void): this;
  connect(callback?: (error?: Error) => void): this;
  /** For all namespaces, until open() or socket.connect(). */
  close(): void;

  reconnection(): boolean;
  reconnection(value: boolean): this;
  reconnectionAttempts(): number;
  reconnectionAttempts(value: number): this;
  reconnectionDelay(): number;
  reconnectionDelay(value: number): this;
  reconnectionDelayMax(): number;
  reconnectionDelayMax(value: number): this;
  randomizationFactor(): number;
  randomizationFactor(value: number): this;
  timeout(): number | false;
  timeout(value: number | false): this;
}

interface Io {
  /** io(): this page's server. io("/namespace"), io("https://example.org/namespace"): that one. */
  <Listen = AnyEvents, Emit = Listen>(options?: Partial<Options>): Socket<Listen, Emit>;
  <Listen = AnyEvents, Emit = Listen>(url: string, options?: Partial<Options>): Socket<Listen, Emit>;
  readonly io: Io;
  readonly connect: Io;
  readonly Manager: typeof Manager;
  readonly Socket: typeof Socket;
  /** The revision of the Socket.IO protocol. */
  readonly protocol: 5;
}

export declare const io: Io;
export declare const connect: Io;
export declare const protocol: 5;
export default io;

declare global {
  /** What the classic script sets. */
  var io: Io;
}
