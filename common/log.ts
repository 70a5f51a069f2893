/**
 * Log lines: a constant sentence plus fields, one line each, JSON or text.
 *
 * A line is never lost to a full pipe without being counted, and never holds the caller: what the
 * reader does not take is kept up to a bound, then dropped and reported once there is room.
 */
export type Level = 'debug' | 'info' | 'warn' | 'error';

export type Fields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A logger that adds these fields to every line. */
  with(fields: Fields): Logger;
}

export interface LogSink {
  /** Takes one whole line without its end; returns false when it had to be dropped. */
  write(line: string): boolean;
}

export interface LogOptions {
  readonly format: 'json' | 'text';
  readonly level: Level;
  readonly sink: LogSink;
  readonly now?: () => number;
}

const ORDER: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** The live threshold of a tree of loggers; `/logging?level=` sets it. */
export interface LogControl {
  level: Level;
}

/** Makes a logger and the control that sets its level while it runs. */
export function createLogger(options: LogOptions): { log: Logger; control: LogControl } {
  const control: LogControl = { level: options.level };
  const now = options.now ?? Date.now;
  const line = options.format === 'json' ? jsonLine : textLine;
  const at = (bound: Fields): Logger => {
    const say =
      (level: Level) =>
      (message: string, fields: Fields = {}): void => {
        if (ORDER[level] < ORDER[control.level]) return;
        options.sink.write(
          line(new Date(now()).toISOString(), level, message, { ...bound, ...fields }),
        );
      };
    return {
      debug: say('debug'),
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      with: (more) => at({ ...bound, ...more }),
    };
  };
  return { log: at({}), control };
}

function jsonLine(time: string, level: Level, message: string, fields: Fields): string {
  const line = { time, level, message, ...fields };
  return isPlain(fields) ? JSON.stringify(line) : JSON.stringify(line, plain);
}

/** Whether JSON has a form for every value by itself: without `plain` a line costs a third. */
function isPlain(fields: Fields): boolean {
  for (const key in fields) {
    const value = fields[key];
    if (typeof value === 'bigint' || (typeof value === 'object' && value !== null)) return false;
  }
  return true;
}

/** Spells a line as text; fields without a value are left out. */
export function textLine(time: string, level: Level, message: string, fields: Fields): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${spell(value instanceof Error ? sentence(value) : value)}`);
  return [time, level.padEnd(5), message, ...pairs].join(' ');
}

function spell(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value, plain) ?? 'undefined');
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? text : JSON.stringify(text);
}

/** An error for people: its code, its message, and those of its causes that the message does not quote. */
function sentence(error: Error): string {
  const { message, cause } = error;
  const own = 'code' in error ? `${String(error.code)}: ${message}` : message;
  if (!(cause instanceof Error) || message.includes(cause.message)) return own;
  return `${own}; ${sentence(cause)}`;
}

/** Errors and big integers in a form that JSON has; the code of a mesh error comes first. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (!(value instanceof Error)) return value;
  const code = 'code' in value ? value.code : undefined;
  const details = 'details' in value ? value.details : undefined;
  return {
    ...(code === undefined ? {} : { code }),
    message: value.message,
    ...(details === undefined ? {} : { details }),
    ...(value.cause === undefined ? {} : { cause: plain('', value.cause) }),
  };
}

const LONGEST_BACKLOG_BYTES = 1 << 20;

interface Output {
  write(text: string): boolean;
  on(event: 'drain' | 'error', listener: () => void): unknown;
}

export interface StreamSink extends LogSink {
  /** How many lines were dropped so far. */
  readonly dropped: () => number;
  /** Writes so many lines at once, joined and without the last end. */
  readonly writeMany: (lines: string, count: number) => void;
}

/** Writes lines to a stream; keeps up to 1 MiB that it does not take, and counts what is dropped. */
export function streamSink(output: Output): StreamSink {
  let backlog: string[] = [];
  let bytes = 0;
  let blocked = false;
  let dropped = 0;
  let unreported = 0;
  const send = (line: string): void => {
    if (!output.write(`${line}\n`)) blocked = true;
  };
  output.on('error', () => (blocked = true));
  output.on('drain', () => {
    blocked = false;
    const lines = backlog;
    backlog = [];
    bytes = 0;
    if (lines.length > 0) send(lines.join('\n'));
    if (unreported > 0) {
      send(JSON.stringify({ level: 'warn', message: 'log lines dropped', lines: unreported }));
      unreported = 0;
    }
  });
  const put = (lines: string, count: number): boolean => {
    if (!blocked) {
      send(lines);
      return true;
    }
    if (bytes + lines.length > LONGEST_BACKLOG_BYTES) {
      dropped += count;
      unreported += count;
      return false;
    }
    backlog.push(lines);
    bytes += lines.length + 1;
    return true;
  };
  return {
    dropped: () => dropped,
    write: (line) => put(line, 1),
    writeMany: (lines, count) => void put(lines, count),
  };
}
