"""The devices' rows."""

from devices.models.device import DevDevice, Device, Fleet
from devices.models.person import PersonWindow
from devices.models.worker import ALIVE, Worker

__all__ = ["ALIVE", "DevDevice", "Device", "Fleet", "PersonWindow", "Worker"]
