/** Certificates for the peers: a P-256 root, a client's leaf `a` and a server's leaf `b`, by openssl. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { run } from './world.ts';

export function makePki(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const at = (name: string): string => `${directory}/${name}`;
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  run(
    'openssl',
    'req',
    '-x509',
    ...key,
    '-days',
    '2',
    '-subj',
    '/O=bench',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
  );
  for (const name of ['a', 'b']) {
    run(
      'openssl',
      'req',
      ...key,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      at(`${name}.key`),
      '-out',
      at(`${name}.csr`),
    );
    writeFileSync(
      at(`${name}.ext`),
      `subjectAltName=URI:spiffe://cluster.local/ns/default/sa/${name},DNS:localhost\n` +
        'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n',
    );
    run(
      'openssl',
      'x509',
      '-req',
      '-in',
      at(`${name}.csr`),
      '-CA',
      at('ca.pem'),
      '-CAkey',
      at('ca.key'),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      at(`${name}.ext`),
      '-out',
      at(`${name}.pem`),
    );
    writeFileSync(
      at(`${name}.both.pem`),
      readFileSync(at(`${name}.pem`), 'utf8') + readFileSync(at(`${name}.key`), 'utf8'),
    );
  }
}
