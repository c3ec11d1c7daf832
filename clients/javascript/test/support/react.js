/** React, where it is there: only the checks of this folder install it; elsewhere the other tests run without it. */

export const react = await import('react').catch(() => null);
export const renderer = await import('react-test-renderer').catch(() => null);

/**
 * The options of a test that needs React.
 *
 * Where `CI` is set it is not skipped but fails, since nobody reads there what was skipped.
 */
export function needsReact(isThere = react !== null && renderer !== null, ci = process.env.CI) {
  if (!isThere && ci) throw new Error('react is not installed: run npm install in this folder');
  return { skip: isThere ? false : 'react is not installed' };
}
