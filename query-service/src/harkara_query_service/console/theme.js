// Dark or light, before anything is painted: a classic script in the head of every page. The choice is kept; without
// one the system's counts, and is followed when it changes.
(() => {
  const KEY = 'harkara.theme';
  const CHOICES = ['system', 'light', 'dark'];
  const prefersDark = matchMedia('(prefers-color-scheme: dark)');

  function kept() {
    try {
      const choice = localStorage.getItem(KEY);
      return CHOICES.includes(choice) ? choice : 'system';
    } catch {
      return 'system';
    }
  }

  let choice = kept();

  function apply() {
    const dark = choice === 'dark' || (choice === 'system' && prefersDark.matches);
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    dispatchEvent(new CustomEvent('themechange', { detail: { choice, dark } }));
  }

  globalThis.harkaraTheme = {
    get choice() {
      return choice;
    },
    /** @param {'system' | 'light' | 'dark'} chosen */
    choose(chosen) {
      choice = CHOICES.includes(chosen) ? chosen : 'system';
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // Until the page is loaded anew.
      }
      apply();
    },
  };
  prefersDark.addEventListener('change', apply);
  apply();
})();
