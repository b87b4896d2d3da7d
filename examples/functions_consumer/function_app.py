"""An Azure Functions app that is woken by the doorbell and follows the change feed (../consumer.py, deployed beside).

Its settings: FEED_URL and FEED_TOKEN; DATABASE, a path on a mounted share, or write `Copy` anew for your own database;
DOORBELL__queueServiceUri, the queue endpoint of the SCIM service's data account, on whose queue this app's identity has
the role Storage Queue Data Message Processor. The timer is for rings that were lost.
"""

import os

import azure.functions as func
from consumer import Copy, Service, follow

app = func.FunctionApp()


@app.queue_trigger(arg_name="ring", queue_name="scim-feed", connection="DOORBELL")
def rung(ring: func.QueueMessage) -> None:
    follow(Service(os.environ["FEED_URL"], os.environ["FEED_TOKEN"]), _copy(), ring.get_json()["tenant"])


@app.timer_trigger(schedule="15 */15 * * * *", arg_name="timer")
def look(timer: func.TimerRequest) -> None:
    service, copy = Service(os.environ["FEED_URL"], os.environ["FEED_TOKEN"]), _copy()
    for tenant in service.tenants():
        follow(service, copy, tenant)


def _copy() -> Copy:
    return Copy(os.environ.get("DATABASE", "consumer.db"))
