// What pages do beyond being read: stay current, choose rows, be used by keyboard.
// Everything here is a comfort; each page works as plain links and forms without it.
"use strict";
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const BACKGROUND = { "patchtide-background": "1", "HX-Request": "true" };
  const LOOK_MS = 5000;

  // Colours: light, dark, or as the system
  const root = document.documentElement;
  const THEMES = { "": "System", light: "Light", dark: "Dark" };
  const nameTheme = () => {
    for (const label of all("[data-theme-name]")) label.textContent = THEMES[root.dataset.theme || ""];
  };
  const turnTheme = () => {
    const order = Object.keys(THEMES);
    const next = order[(order.indexOf(root.dataset.theme || "") + 1) % order.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    try {
      localStorage.setItem("patchtide-theme", next);
    } catch {
      notice("This browser keeps no settings: the choice ends with the page.");
    }
    nameTheme();
  };

  // Times: the server writes them as of the page; they age here
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const spell = (seconds) => {
    for (const [unit, length] of UNITS) {
      const count = Math.floor(seconds / length);
      if (count >= 1) return `${count} ${unit}${count === 1 ? "" : "s"}`;
    }
    return "";
  };
  const age = () => {
    for (const time of all("time[datetime]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const past = spell(seconds), ahead = spell(-seconds);
      const text = past ? `${past} ago` : ahead ? `in ${ahead}` : seconds >= 0 ? "just now" : "in less than a minute";
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // What people must be told, and what only a reader hears
  const notice = (text, link) => {
    const place = find("#notice");
    if (!place) return;
    place.textContent = text;
    place.hidden = !text;
    if (text && link) {
      const anchor = document.createElement("a");
      anchor.href = link.href;
      anchor.textContent = link.text;
      place.append(" ", anchor);
    }
  };
  const announce = (text) => {
    const place = find("#announcer");
    if (place) place.textContent = text;
  };

  // Choosing rows: shift takes the rows between, and a refreshed list keeps what was chosen
  let lastPick = null;
  const picks = () => all("td.pick input");
  const countChosen = () => {
    const chosen = picks().filter((box) => box.checked).length;
    for (const place of all("[data-chosen]")) place.textContent = chosen;
    for (const box of all("[data-choose-all]")) {
      box.checked = chosen > 0 && chosen === picks().length;
      box.indeterminate = chosen > 0 && chosen < picks().length;
    }
  };
  const choose = (boxes, on) => {
    for (const box of boxes) box.checked = on;
    countChosen();
  };
  document.addEventListener("click", (event) => {
    const box = event.target.closest("td.pick input");
    if (box) {
      const boxes = picks();
      const from = boxes.indexOf(lastPick), to = boxes.indexOf(box);
      if (event.shiftKey && from >= 0) choose(boxes.slice(Math.min(from, to), Math.max(from, to) + 1), box.checked);
      lastPick = box;
      countChosen();
      return;
    }
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches("[data-choose-none]")) choose(picks(), false);
    else if (button.matches("[data-theme-switch]")) turnTheme();
    else if (button.matches("[data-help]")) find("#help").showModal();
    else if (button.matches("[data-menu]")) {
      const open = find("#places").classList.toggle("is-open");
      button.setAttribute("aria-expanded", String(open));
    } else if (button.matches("[data-copy]")) {
      navigator.clipboard.writeText(find(`#${button.dataset.copy}`).textContent).then(
        () => { button.textContent = "Copied"; announce("Copied"); },
        () => { button.textContent = "Select it by hand"; },
      );
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-choose-all]")) choose(picks(), event.target.checked);
  });
  find("#help")?.addEventListener("click", (event) => {
    if (event.target.id === "help") event.target.close();
  });

  // Staying current: ask for a number; only when it moved fetch the page, and put in what changed
  let known = null, failed = false, asking = false;
  const source = document.body.dataset.liveFrom;
  const signedOut = () => {
    const next = encodeURIComponent(location.pathname + location.search);
    notice("You were signed out after a quiet while.", { href: `/sign-in?next=${next}`, text: "Sign in" });
  };
  const refresh = async () => {
    const asked = location.href;
    const answer = await fetch(asked, { headers: { "patchtide-background": "1" } });
    if (!answer.ok || answer.redirected) return;
    const text = await answer.text();
    if (location.href !== asked || find(".htmx-request")) return; // meanwhile another list was asked for
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of all("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (other && !same(part, other)) replace(part, other);
    }
  };
  const same = (one, other) => shape(one) === shape(other);
  const shape = (part) => part.innerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1").replace(/ (class|style)="(htmx-[a-z]+)?"/g, "");
  const replace = (part, other) => {
    const chosen = new Set(picks().filter((box) => box.checked).map((box) => box.value));
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const open = all("details[open]", part).map((details) => details.id);
    part.replaceWith(document.adoptNode(other));
    htmx.process(other);
    for (const box of picks()) box.checked = chosen.has(box.value);
    for (const id of open) if (id) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    countChosen();
    age();
  };
  const isBusy = () => document.hidden || find("dialog[open]") || document.activeElement?.matches("select");
  const look = async () => {
    if (asking || isBusy()) return;
    asking = true;
    try {
      const answer = await fetch(source, { headers: BACKGROUND });
      if (answer.status === 401) return signedOut();
      if (!answer.ok) throw new Error(String(answer.status));
      if (failed) notice("");
      failed = false;
      const { version } = await answer.json();
      if (known !== null && version !== known) await refresh();
      known = version;
    } catch {
      if (!failed) notice(`No connection to the server. What you see is from ${new Date().toLocaleTimeString()}.`);
      failed = true;
    } finally {
      asking = false;
    }
  };

  // Lists that are searched and turned about
  document.addEventListener("htmx:afterSwap", () => {
    countChosen();
    age();
    announce(find("#list .range")?.textContent || "Nothing fits");
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) signedOut();
    else notice(`The server refused that (${event.detail.xhr.status}).`, { href: location.href, text: "Load the page again" });
  });
  document.addEventListener("htmx:sendError", () => notice("No connection to the server. Try again in a moment."));
  document.addEventListener("htmx:configRequest", (event) => {
    for (const [name, value] of [...event.detail.formData.entries()]) {
      if (value === "") event.detail.formData.delete(name);
    }
  });

  // The keyboard
  const rows = () => all(".rowlink").filter((link) => link.offsetParent !== null);
  const step = (by) => {
    const links = rows();
    if (!links.length) return;
    const row = document.activeElement.closest("tr, li");
    const at = links.findIndex((link) => link === document.activeElement || (row && row.contains(link)));
    const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
    links[next].focus();
    links[next].scrollIntoView({ block: "nearest" });
  };
  const pick = () => {
    const box = document.activeElement.closest("tr")?.querySelector("td.pick input");
    if (box) choose([box], !box.checked);
  };
  const KEYS = {
    "/": () => find("#q")?.select(),
    j: () => step(1),
    k: () => step(-1),
    x: pick,
    n: () => find("[rel=next]")?.click(),
    p: () => find("[rel=prev]")?.click(),
    t: turnTheme,
    "?": () => find("#help")?.showModal(),
  };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape" && target.id === "q") {
      event.preventDefault(); // a browser would empty the field
      return target.blur();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || find("dialog[open]")) return;
    if (target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (going && Date.now() - going < 1500) {
      going = 0;
      const place = find(`[data-key="${CSS.escape(event.key)}"]`);
      if (place) {
        event.preventDefault();
        location.assign(place.href);
      }
      return;
    }
    if (event.key === "g") {
      going = Date.now();
      return;
    }
    const act = KEYS[event.key];
    if (act && find("#main")) {
      event.preventDefault();
      act();
    }
  });

  // A one-time link carries its code behind the mark: no server and no log sees it
  const welcome = find("[data-code-from-address]");
  if (welcome && location.hash.length > 1) {
    find("#code").value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    if (welcome.dataset.codeFromAddress === "go") welcome.requestSubmit();
    else find("input:not([type=hidden]):not(#code)", welcome)?.focus();
  }
  if (new URLSearchParams(location.search).has("done")) {
    const rest = new URLSearchParams(location.search);
    rest.delete("done");
    history.replaceState(null, "", location.pathname + (rest.size ? `?${rest}` : ""));
  }
  // On a narrow screen the tab that is open may stand beside it
  const tab = find(".tabs [aria-current]");
  if (tab) {
    const [row, here] = [tab.parentElement, tab.getBoundingClientRect()];
    row.scrollLeft += here.left - row.getBoundingClientRect().left - (row.clientWidth - here.width) / 2;
  }
  find("[data-focus]")?.focus();
  find("form[data-at-once] button")?.click();
  nameTheme();
  age();
  countChosen();
  setInterval(age, 15000);
  if (source && find("[data-live]")) {
    look();
    setInterval(look, LOOK_MS);
    document.addEventListener("visibilitychange", look);
  }
})();
