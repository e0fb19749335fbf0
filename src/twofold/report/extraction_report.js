// Sorts and filters the posts on the page, which is readable without it.
"use strict";
(() => {
  const form = document.querySelector("form.controls");
  const main = document.getElementById("posts");
  const noMatch = document.getElementById("no-match");
  const matches = document.querySelector("output.matches");
  const posts = [...main.querySelectorAll("article.post")].map((node) => ({
    node,
    entityTypes: JSON.parse(node.dataset.entityTypes),
    relationTypes: JSON.parse(node.dataset.relationTypes),
    words: node.textContent.toLocaleLowerCase(),
  }));

  // A post without the value comes last in either order.
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
    posts.forEach((post) => main.insertBefore(post.node, noMatch));
  };

  const checked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);

  const filter = () => {
    const [entityTypes, relationTypes] = [checked("entity_type"), checked("relation_type")];
    const status = form.elements.status.value;
    const query = form.elements.query.value.trim().toLocaleLowerCase();
    let shown = 0;
    for (const post of posts) {
      const match =
        (entityTypes.length === 0 || entityTypes.some((type) => post.entityTypes.includes(type))) &&
        (relationTypes.length === 0 || relationTypes.some((type) => post.relationTypes.includes(type))) &&
        (status === "" || post.node.dataset.status === status) &&
        post.words.includes(query);
      post.node.hidden = !match;
      shown += match;
    }
    noMatch.hidden = shown > 0;
    matches.textContent = shown === posts.length ? "" : `${shown} of ${posts.length} posts match.`;
  };

  const update = () => {
    sort();
    filter();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.sort.addEventListener("change", sort);
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(update)); // after the fields have changed
  form.closest("details").hidden = false;
  update();
})();
