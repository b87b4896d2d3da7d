// Times in the reader's zone, with UTC as a hint, and buttons that copy. Without this script, times are in UTC.
(() => {
  "use strict";
  const form = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  });
  const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const showTimes = (root) => {
    for (const each of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(each.dateTime);
      if (!Number.isNaN(at.getTime())) each.textContent = form.format(at);
      each.dataset.local = "";
    }
    for (const each of root.querySelectorAll("text[data-hour]")) {
      each.textContent = hours.format(new Date(each.dataset.hour));
      delete each.dataset.hour;
    }
    for (const each of root.querySelectorAll("button[data-copy]")) each.hidden = !navigator.clipboard;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const said = document.getElementById("said");
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      said.textContent = button.dataset.done;
      const before = button.dataset.name ??= button.textContent;
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = before; said.textContent = ""; }, 2500);
    } catch {
      said.textContent = button.dataset.failed;
    }
  });
  const invitation = document.querySelector("form[data-fragment]");
  if (invitation && location.hash.length > 20) {
    invitation.elements.token.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    invitation.requestSubmit();
  }
  showTimes(document);
  new MutationObserver(() => showTimes(document)).observe(document.body, { childList: true, subtree: true });
})();
