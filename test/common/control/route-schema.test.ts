import { test } from 'tap';
import { decodeText } from '../../../common/control/decode.ts';
import type { Decoder } from '../../../common/control/decode.ts';
import { frontend, httpPolicy, tokenRule } from '../../../common/control/route-schema.ts';
import { Router } from '../../../waypoint/routing/router.ts';
import {
  emptyFrontend,
  fullFrontend,
  fullPolicy,
  fullTokenRule,
  gatewayFrontend,
} from '../../helpers/route-samples.ts';
import { request } from '../../helpers/routes.ts';

function decode<T>(decoder: Decoder<T>, text: string): T {
  return decodeText(text, { what: 'a test', decoder, maxLength: 1_000_000 });
}

function refusal(decoder: Decoder<unknown>, text: string): string {
  try {
    decode(decoder, text);
    return 'taken';
  } catch (error) {
    return error instanceof Error ? error.message : 'no error';
  }
}

/** The text of `value` with one piece of it changed. */
function changed(value: unknown, from: string, to: string): string {
  const text = JSON.stringify(value);
  if (!text.includes(from)) throw new Error(`${from} is not in it`);
  return text.replace(from, to);
}

test('what a waypoint is told comes through the door as it was', async (t) => {
  for (const one of [fullFrontend, gatewayFrontend, emptyFrontend]) {
    const read = decode(frontend, JSON.stringify(one));
    t.strictSame(JSON.stringify(read), JSON.stringify(one));
    t.doesNotThrow(() => new Router(read));
  }
  t.strictSame(decode(httpPolicy, JSON.stringify(fullPolicy)), fullPolicy);
  t.strictSame(decode(tokenRule, JSON.stringify(fullTokenRule)), fullTokenRule);
  const router = new Router(decode(frontend, JSON.stringify(fullFrontend)));
  t.equal(router.find(request('/one'), '')?.rule.name, 'HTTPRoute/shop/all rules[0]');
});

test('the door refuses by path what is not exactly a route', async (t) => {
  const table: readonly (readonly [from: string, to: string, message: RegExp])[] = [
    ['"kind":"service"', '"kind":"pod"', /\.?kind: expected one of service, gateway, found "pod"/],
    ['"port":80', '"port":-1', /port: expected an integer from 0 to 65535/],
    ['"owner"', '"ownr"', /ownr: expected no such field/],
    [
      '"method":"POST",',
      '',
      /producer\.routes\[0\]\.rules\[0\]\.matches\[0\]\.method: expected a value/,
    ],
    [
      '/p/[a-z]+',
      '/p/(a',
      /matches\[1\]\.path: expected a pattern that can be matched in linear time/,
    ],
    ['[0-9]+', '(?=1)', /matches\[0\]\.query\[0\]: expected a pattern/],
    ['a.*', 'a**', /consumers\[0\].*grpc: expected a pattern/],
    ['"kind":"cors"', '"kind":"wasm"', /filters\[4\]\.kind: expected a known kind, found "wasm"/],
    ['"weight":9', '"weight":1.5', /backends\[0\]\.weight: expected an integer/],
    ['"x-a"', '"X-A"', /set\[0\]\.name: expected a lower-case header name/],
    ['0.333', '1.333', /share: expected a number from 0 to 1/],
    ['"status":301', '"status":304', /status: expected one of 301/],
    ['"matches":[{', '"matches":[],"x":[{', /matches: expected at least one match/],
  ];
  for (const [from, to, message] of table) {
    t.match(refusal(frontend, changed(fullFrontend, from, to)), message, `${from} to ${to}`);
  }
  t.match(refusal(frontend, '{"__proto__":{}}'), /no such field/);
  t.match(
    refusal(httpPolicy, changed(fullPolicy, '"allow"', '"maybe"')),
    /action: expected one of/,
  );
  t.match(
    refusal(httpPolicy, changed(fullPolicy, '10.0.0.0/8', '10.0.0.0/99')),
    /remoteIps\[0\]: expected an address or CIDR/,
  );
  t.match(
    refusal(tokenRule, changed(fullTokenRule, '"kind":"cookie"', '"kind":"body"')),
    /places\[2\]\.kind: expected a known kind/,
  );
});
