/** The catalog: what the shop sells, and for how much. */
import { hostname } from 'node:os';
import { serve } from './serve.ts';

const items = [
  { name: 'kettle', cents: 3490 },
  { name: 'teapot', cents: 2450 },
  { name: 'strainer', cents: 690 },
];

serve(8080, ({ path }) => {
  if (path !== '/items') throw new Error(`there is no ${path}; try /items`);
  return { items, servedBy: hostname() };
});
