/** The cart: keeps what each customer has put in, until it is emptied by a checkout. */
import { serve } from './serve.ts';

const carts = new Map<string, string[]>();
/** Customers come and go; a demonstration need not remember all of them. */
const MOST_CARTS = 1000;

serve(8080, ({ method, path, body }) => {
  const customer = path.slice(1);
  if (method === 'GET') return { customer, items: carts.get(customer) ?? [] };
  const { add, empty } = Object(JSON.parse(body));
  const items = empty === true ? [] : [...(carts.get(customer) ?? []), String(add)];
  carts.delete(customer);
  carts.set(customer, items);
  const [oldest] = carts.keys();
  if (carts.size > MOST_CARTS && oldest !== undefined) carts.delete(oldest);
  return { customer, items };
});
