/** Which octets may stand where in HTTP/1.1 (RFC 9110 section 5.6.2, RFC 9112 section 3.2). */

/** By octet of a token: itself in lower case; 0 for all others. */
export const TOKEN = table((octet) => {
  const text = String.fromCharCode(octet);
  return /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(text) ? text.toLowerCase().charCodeAt(0) : 0;
});

/** Visible, space, tab and obs-text: what a field value or a reason phrase may hold. */
export const TEXT = table((octet) => (octet === 9 || (octet >= 0x20 && octet !== 0x7f) ? 1 : 0));

/** What a request target may hold: visible ASCII without a fragment, which is never sent. */
export const TARGET = table((octet) => (octet > 0x20 && octet < 0x7f && octet !== 0x23 ? 1 : 0));

/** A host and perhaps a port: no user information, no path, no list (RFC 3986 section 3.2). */
export const AUTHORITY = table((octet) =>
  /[0-9A-Za-z\-._~!$&'()*+;=%:[\]]/.test(String.fromCharCode(octet)) ? 1 : 0,
);

/** By octet of a hexadecimal digit: its value; 255 for all others. */
export const HEX_VALUE = table((octet) => {
  const text = String.fromCharCode(octet);
  return /[0-9A-Fa-f]/.test(text) ? Number.parseInt(text, 16) : 255;
});

function table(of: (octet: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => of(octet));
}
