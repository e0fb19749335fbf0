// Sorts and filters what is already on the page; without it everything can still be read.
"use strict";
(() => {
  const form = document.querySelector("form.controls");
  const main = document.getElementById("posts");
  const none = document.getElementById("no-match");
  const output = form.querySelector("output");
  const posts = [...main.querySelectorAll("article.post")].map((node) => ({
    node,
    types: JSON.parse(node.dataset.types),
    links: JSON.parse(node.dataset.links),
    words: node.textContent.toLocaleLowerCase(),
  }));

  // A post that lacks the value comes last, whichever way the rest is sorted.
  const value = (post, key) => {
    const text = post.node.dataset[key];
    return text === "" ? null : Number(text);
  };
  const compare = (key, sign) => (a, b) => {
    const [x, y] = [value(a, key), value(b, key)];
    if (x === null || y === null) {
      return (x === null) - (y === null) || value(a, "rank") - value(b, "rank");
    }
    return sign * (x - y) || value(a, "rank") - value(b, "rank");
  };

  const sort = () => {
    const choice = form.elements.sort.value;
    const key = choice.replace("-", "");
    posts.sort(compare(key, choice.startsWith("-") ? -1 : 1));
    posts.forEach((post) => main.insertBefore(post.node, none));
  };

  const filter = () => {
    const checked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);
    const [types, links] = [checked("type"), checked("link")];
    const status = form.elements.status.value;
    const query = form.elements.query.value.trim().toLocaleLowerCase();
    let shown = 0;
    for (const post of posts) {
      const match =
        (types.length === 0 || types.some((type) => post.types.includes(type))) &&
        (links.length === 0 || links.some((link) => post.links.includes(link))) &&
        (status === "" || post.node.dataset.status === status) &&
        post.words.includes(query);
      post.node.hidden = !match;
      shown += match;
    }
    none.hidden = shown > 0;
    output.textContent = shown === posts.length ? `${shown} posts` : `${shown} of ${posts.length} posts`;
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.sort.addEventListener("change", sort);
  form.addEventListener("input", filter);
  form.hidden = false;
  sort();
  filter();
})();
