/** Which addresses of a namespace others can reach a pod at. */
import { test } from 'tap';
import { parseAddresses } from '../../../node-agent/pods/address-messages.ts';
import { addressMessage } from '../../fuzz/decoders/kernel-bytes.ts';

const FOUR = Buffer.from([10, 0, 0, 1]);
const SIX = Buffer.from('fd000000000000000000000000000001', 'hex');

function done(): Buffer {
  const message = Buffer.alloc(20);
  message.writeUInt32LE(20, 0);
  message.writeUInt16LE(3, 4);
  return message;
}

test('parseAddresses() reads both families and says when the list is over', async (t) => {
  const part = Buffer.concat([addressMessage(2, FOUR), addressMessage(10, SIX)]);
  const addresses = ['10.0.0.1', 'fd00::1'];
  t.strictSame(parseAddresses(part), { addresses, isLast: false, error: 0 });
  const last = Buffer.concat([part, done()]);
  t.strictSame(parseAddresses(last), { addresses, isLast: true, error: 0 });
});

test('parseAddresses() leaves out what leads to no pod', async (t) => {
  const LO = 1;
  const LINK = 253;
  const cut = addressMessage(2, FOUR);
  cut.writeUInt16LE(200, 24);
  for (const message of [
    addressMessage(2, FOUR, LO),
    addressMessage(10, SIX, 2, LINK),
    addressMessage(2, SIX),
    addressMessage(10, FOUR),
    cut,
  ]) {
    t.strictSame(parseAddresses(message).addresses, []);
  }
  const error = done();
  error.writeUInt16LE(2, 4);
  error.writeInt32LE(-1, 16);
  t.match(parseAddresses(error), { isLast: true, error: -1 });
});
