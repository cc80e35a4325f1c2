"""The dashboard's own tests, as its author writes them: `python -m unittest dashboard_tests`."""

import time
import unittest

from dashboard import app, socketio


class DashboardTest(unittest.TestCase):
    def setUp(self):
        self.pages = app.test_client()
        self.pages.get("/")
        self.client = socketio.test_client(app, auth={"key": 1}, flask_test_client=self.pages)
        self.addCleanup(self.client.disconnect)

    def wait_for(self, name):
        found = []
        deadline = time.monotonic() + 10
        while not found:
            self.assertLess(time.monotonic(), deadline, f"{name} never came")
            time.sleep(0.02)
            found = [each["args"][0] for each in self.client.get_received() if each["name"] == name]
        return found

    def test_hello(self):
        received = [each for each in self.client.get_received() if each["name"] == "hello"]
        self.assertEqual(
            received, [{"name": "hello", "args": [{"colour": "grey", "auth": {"key": 1}}], "namespace": "/"}]
        )

    def test_background_thread(self):
        first, second = self.wait_for("reading")[-1], self.wait_for("reading")[0]
        self.assertEqual(second["count"], first["count"] + 1)

    def test_session_is_shared_with_the_pages(self):
        self.assertEqual(self.client.emit("colour", "red", callback=True), "red")
        self.assertEqual(self.pages.get("/preferences").json, {"colour": "red", "seen": 1})
        self.pages.post("/preferences/blue")
        self.assertEqual(self.client.emit("colour", callback=True), "blue")

    def test_job(self):
        self.assertEqual(self.client.emit("start job", 1, callback=True), "started")
        self.assertEqual(self.wait_for("progress"), [{"step": 1, "of": 1, "by": "dashboard"}])

    def test_picture(self):
        self.assertEqual(self.client.emit("picture", 5, callback=True), bytes(5))
        self.assertEqual(self.wait_for("picture"), [{"name": "noise", "bytes": bytes(range(5))}])


if __name__ == "__main__":
    unittest.main()
