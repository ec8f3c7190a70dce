// A query being written: what may come next is offered below it, and a list follows what is meant.
// Without any of this the field is sent as it is, by Enter.
"use strict";
(() => {
  const box = document.querySelector("[data-complete]");
  const list = document.getElementById("q-options");
  if (!box || !list) return;
  const WAIT_MS = 120;
  let options = [], start = 0, at = -1, timer = 0, asked = 0;

  box.setAttribute("role", "combobox");
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-controls", list.id);
  box.setAttribute("aria-expanded", "false");

  // The server counts characters, a browser counts halves of some of them
  const characters = (text) => [...text].length;
  const offset = (text, count) => [...text].slice(0, count).join("").length;

  const close = () => {
    clearTimeout(timer);
    asked += 1;
    options = [];
    at = -1;
    list.hidden = true;
    list.replaceChildren();
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const mark = (next) => {
    const items = [...list.children];
    items[at]?.removeAttribute("aria-selected");
    at = next < 0 ? -1 : next;
    const item = items[at];
    if (!item) return box.removeAttribute("aria-activedescendant");
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", item.id);
  };
  const show = (found, typed) => {
    options = found.items.filter((option) => option.text !== typed.slice(found.start).join(""));
    start = found.start;
    at = -1;
    box.removeAttribute("aria-activedescendant");
    list.replaceChildren(...options.map((option, n) => {
      const item = document.createElement("li");
      item.id = `q-option-${n}`;
      item.setAttribute("role", "option");
      const text = document.createElement("code"), says = document.createElement("span");
      text.textContent = option.text;
      says.textContent = option.says;
      item.append(text, says);
      return item;
    }));
    list.hidden = options.length === 0;
    box.setAttribute("aria-expanded", String(!list.hidden));
  };
  const ask = async () => {
    const mine = (asked += 1), text = box.value;
    const position = characters(text.slice(0, box.selectionStart ?? text.length));
    const said = new URLSearchParams({ text, position: String(position) });
    let found;
    try {
      const answer = await fetch(`${box.dataset.complete}?${said}`);
      if (!answer.ok || answer.redirected) return;
      found = await answer.json();
    } catch {
      return; // the list below says that there is no connection
    }
    if (mine === asked && document.activeElement === box && box.value === text) show(found, [...text].slice(0, position));
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  };
  const take = (n) => {
    const text = box.value, from = offset(text, start);
    const behind = text.slice(box.selectionStart ?? text.length).replace(/^ /, "");
    const before = `${text.slice(0, from)}${options[n].text} `;
    close();
    box.value = before + behind;
    box.setSelectionRange(before.length, before.length);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

  box.addEventListener("input", soon);
  box.addEventListener("blur", close);
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the field keeps the focus
    const item = event.target.closest("li");
    if (item) take([...list.children].indexOf(item));
  });
  box.addEventListener("keydown", (event) => {
    const isOpen = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) return void ask();
      const count = options.length + 1; // one place is the field itself
      const by = event.key === "ArrowDown" ? 1 : -1;
      mark(((at + 1 + by + count) % count) - 1);
    } else if (isOpen && at >= 0 && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      take(at);
    } else if (event.key === "Enter") {
      close();
    } else if (isOpen && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation(); // a second one leaves the field
      close();
    }
  });

  // What is only half written is no mistake yet: the list stays as it was
  document.addEventListener("htmx:beforeSwap", (event) => {
    const why = event.detail.requestConfig?.triggeringEvent?.type;
    const isMisread = /data-misread/.test(event.detail.xhr.responseText);
    box.toggleAttribute("data-half", isMisread && why === "input");
    if (isMisread && why === "input") event.detail.shouldSwap = false;
  });
  // A filter writes a part of the query
  document.addEventListener("htmx:afterSwap", () => {
    const said = document.getElementById("list")?.dataset.query;
    if (said !== undefined && document.activeElement !== box) box.value = said;
  });
  // Where filters write parts of the query, those that nobody touched say nothing
  document.addEventListener("htmx:configRequest", (event) => {
    const { formData } = event.detail, touched = event.detail.triggeringEvent?.target;
    if (event.detail.elt.id !== "tools" || !document.querySelector("[name=was][form=tools]")) return;
    for (const select of document.querySelectorAll("select[form=tools]:not([name=sort])")) {
      if (select !== touched) formData.delete(select.name);
    }
    if (!touched?.matches?.("select:not([name=sort])")) formData.delete("was");
  });
})();
