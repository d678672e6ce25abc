// The login page: sends the token, which comes back as a cookie that scripts cannot read.

const form = document.getElementById("form");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: document.getElementById("token").value }),
    });
    if (answer.ok) {
      location.href = "/";
      return;
    }
    problem.textContent = "This is not the token that the server printed.";
  } catch {
    problem.textContent = "The server does not answer. Is it still running?";
  }
});
