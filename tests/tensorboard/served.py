"""TensorBoard in this process, asked as its pages ask it."""

import json
import warnings

from werkzeug.test import Client

with warnings.catch_warnings():  # TensorBoard's own copy of bleach uses a deprecated html5lib
    warnings.filterwarnings("ignore", "html5lib's sanitizer is deprecated", DeprecationWarning)
    from tensorboard import default, program
    from tensorboard.backend import application
    from tensorboard.backend.event_processing import data_ingester


class Served:
    """TensorBoard on a folder, asked without a network."""

    def __init__(self, folder):
        tensorboard = program.TensorBoard(default.get_plugins())
        tensorboard.configure(
            ["tensorboard", "--logdir", str(folder), "--reload_interval", "0"]
            + ["--reload_task", "blocking"]
        )
        flags = tensorboard.flags
        ingester = data_ingester.LocalDataIngester(flags)
        ingester.start()
        app = application.TensorBoardWSGIApp(
            flags, tensorboard.plugin_loaders, ingester.data_provider
        )
        self.client = Client(app)

    def ask(self, plugin, route, **request):
        reply = self.client.get(f"/data/plugin/{plugin}/{route}", query_string=request)
        assert reply.status_code == 200, reply.text
        return reply.json if reply.is_json else reply.data

    def columns(self):
        experiment = self.ask("hparams", "experiment", request="{}")
        return experiment["hparamInfos"], experiment["metricInfos"]

    def rows(self):
        names = {column["name"]: column["displayName"] for column in self.columns()[0]}
        statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
        request = {"allowedStatuses": statuses, "startIndex": 0, "sliceSize": 1000}
        reply = self.ask("hparams", "session_groups", request=json.dumps(request))
        for group in reply["sessionGroups"]:
            group["hparams"] = {names[name]: v for name, v in group["hparams"].items()}
        return {group["name"]: group for group in reply["sessionGroups"]}

    def statuses(self):
        return {name: row["sessions"][0]["status"] for name, row in self.rows().items()}
