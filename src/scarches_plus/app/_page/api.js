// Talk to the server that sent this page.

async function answer(response) {
  if (response.ok) return response;
  let message = `the server answers ${response.status}`;
  try {
    message = (await response.json()).error ?? message;
  } catch { /* no JSON: the status has to do */ }
  throw new Error(message);
}

async function ask(method, path, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  let response;
  try {
    response = await fetch(`/api${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("the server does not answer: is scarches-plus app still running?");
  }
  return answer(response);
}

export const get = async (path) => (await ask("GET", path)).json();
export const post = async (path, body) => (await ask("POST", path, body)).json();
export const remove = async (path) => { await ask("DELETE", path); };

/** Read numbers: a header of JSON, and typed arrays after it. */
export async function view(path) {
  const buffer = await (await ask("GET", path)).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const kinds = { f4: Float32Array, u2: Uint16Array, i4: Int32Array };
  let at = 4 + length;
  for (const one of header.arrays) {
    const array = new kinds[one.type](buffer, at, one.length);
    header[one.name] = array;
    at += Math.ceil(array.byteLength / 4) * 4;
  }
  return header;
}

/** Send a file as it lies on disk; `tell` gets the share that is sent. */
export function upload(file, tell) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file);
    const request = new XMLHttpRequest();
    request.open("POST", "/api/files");
    request.upload.onprogress = (event) => { if (event.lengthComputable) tell(event.loaded / event.total); };
    request.onerror = () => reject(new Error("the file could not be sent: is the server still running?"));
    request.onload = () => {
      let found = {};
      try { found = JSON.parse(request.responseText); } catch { /* told below */ }
      if (request.status < 300) resolve(found);
      else reject(new Error(found.error ?? `the server answers ${request.status}`));
    };
    request.send(form);
  });
}

/** Follow a job until it has ended; a connection that breaks off is taken up again by the browser. */
export function follow(job, tell) {
  const source = new EventSource(`/api/jobs/${job}/events`);
  source.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    if (["done", "failed", "cancelled"].includes(state.status)) source.close();
    tell(state);
  });
  return source;
}
