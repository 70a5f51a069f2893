/** The ledger: writes down every payment. Policy lets nobody but payments speak to it. */
import { serve } from './serve.ts';

let entries = 0;
let cents = 0;

serve(8080, ({ method, body, from }) => {
  if (method === 'POST') {
    entries += 1;
    cents += Number(Object(JSON.parse(body)).cents);
  }
  return { entries, cents, from };
});
