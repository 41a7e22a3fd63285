/** Local day and time, 24 hours, always as wide. */
const FORMAT = new Intl.DateTimeFormat('en-GB', {
  day: '2-digit',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

export const clock = (instant: string): string => FORMAT.format(new Date(instant)).replace(',', '');
