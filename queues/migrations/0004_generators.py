"""The four generators, as the documents name them; their endpoints are for staff to enter."""

from django.db import migrations

ROWS = [
    # name, short, handler, instance, fleet, rotation, array, shares good / normal / bad
    ("G_IAD", "IAD", "IMSS_App_DFL", "IMSS_App_DFL_Priyansh_01", "devices", 0, 1, 25, 45, 75),
    ("G_MASTER", "MASTER", "IMSS_Master_DFL", "IMSS_Master_DFL_01", "devices", 1, 2, 25, 20, 10),
    ("G_IAD2", "IAD2", "IMSS_App_DFL", "IMSS_App_DFL_Priyansh_02", "devices", 2, 0, 40, 30, 10),
    ("G_SISEC", "SISEC", "IMSS_Sisec_DFL", "IMSS_SISEC_DFL_01", "dev_devices", 3, 3, 10, 5, 5),
]


def add(apps, schema_editor):
    generator = apps.get_model("queues", "Generator")
    for name, short, handler, instance, fleet, rotation, place, good, normal, bad in ROWS:
        generator.objects.get_or_create(
            name=name,
            defaults={
                "short_name": short,
                "handler": handler,
                "instance": instance,
                "fleet": fleet,
                "process": short,
                "queue_collection": f"imss_queue_{short.lower()}",
                "rotation_order": rotation,
                "array_position": place,
                "takes_remainder": name == "G_IAD",
                "share_good": good,
                "share_normal": normal,
                "share_bad": bad,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("queues", "0003_imss")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
