// Some official clients at once, against a server that lets in a few: each prints how often it was sent away.
import { createRequire } from "node:module";

const [url, count, ...transports] = process.argv.slice(2);
const { io } = createRequire(import.meta.url)("socket.io-client-4");
let missing = Number(count);
for (let number = 0; number < Number(count); number++) {
  const socket = io(url, { forceNew: true, transports, reconnectionDelay: 100, reconnectionDelayMax: 500 });
  let refused = 0;
  socket.on("connect_error", () => refused++);
  socket.on("connect", () => {
    console.log(refused);
    if (--missing === 0) process.exit(0);
  });
}
