// Runs before the first paint, so that a chosen colour scheme does not flash the other one.
try {
  const theme = localStorage.getItem("runsink.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; then the system's scheme applies.
}
