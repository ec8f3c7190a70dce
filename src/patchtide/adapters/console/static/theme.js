// Runs before the page is drawn, so that nobody sees the other colours flash.
try {
  const chosen = localStorage.getItem("patchtide-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's choice holds.
}
