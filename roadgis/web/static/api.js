// The JSON API, described in /api/openapi.json.

class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

function problem(detail) {
  if (Array.isArray(detail)) return detail.map((entry) => `${entry.loc?.at(-1)}: ${entry.msg}`).join("; ");
  return detail || "The server answered with an error.";
}

export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, "The server does not answer. Is it still running?");
  }
  if (answer.status === 401) location.href = "/login";
  if (!answer.ok) {
    const content = await answer.json().catch(() => ({}));
    throw new ApiError(answer.status, problem(content.detail));
  }
  return answer.json();
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

// Sends a file as a body; XMLHttpRequest, as fetch does not say how far an upload is.
export function put(path, file, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/api${path}`);
    request.upload.onprogress = (event) => progress(event.loaded, event.total);
    request.onload = () => {
      let content = {};
      try {
        content = JSON.parse(request.responseText);
      } catch {
        // An answer that is not JSON has no detail.
      }
      if (request.status < 300) resolve(content);
      else reject(new ApiError(request.status, problem(content.detail)));
    };
    request.onerror = () => reject(new ApiError(0, "The upload was cut off. Is the server still running?"));
    request.onabort = () => reject(new ApiError(0, "The upload was cancelled."));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

// Calls back with the job after each change, until it has ended or `stop` of the result is called.
export function watch(id, changed) {
  const source = new EventSource(`/api/jobs/${id}/events`);
  source.addEventListener("job", (event) => changed(JSON.parse(event.data)));
  source.addEventListener("end", () => source.close());
  return { stop: () => source.close() };
}
