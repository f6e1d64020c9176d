// What the theme leaves out for the keyboard and for screen readers.
const name_regions = () => {
  document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");
  document.querySelectorAll(".md-code__nav").forEach((nav, i) => nav.setAttribute("aria-label", `Code ${i + 1}`));
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((table, i) => {
    if (table.tabIndex === 0) return;
    table.tabIndex = 0;
    table.setAttribute("role", "region");
    table.setAttribute("aria-label", `Table ${i + 1}`);
  });
};
addEventListener("load", () => {
  name_regions();
  new MutationObserver(name_regions).observe(document.body, { childList: true, subtree: true });
});
