"""The texts of an appeal by phase, to begin with. Staff edit the rows."""

from django.db import migrations

# In the order in which they are compared: the first key that the phase contains is taken.
MOTIVOS = [
    (
        "identificacion",
        "Identificación del conductor, expediente {expediente}",
        "Que se ha recibido requerimiento de identificación del conductor y que {sujeto_recurso} "
        "lo contesta dentro del plazo concedido.",
        "Que se tenga por cumplido el deber de identificación en el expediente {expediente}.",
    ),
    (
        "denuncia",
        "Alegaciones a la denuncia, expediente {expediente}",
        "Que {sujeto_recurso} no está conforme con los hechos denunciados, que no se acompañan de "
        "prueba suficiente.",
        "Que se estimen las alegaciones y se archive el expediente {expediente}.",
    ),
    (
        "propuesta de resolucion",
        "Alegaciones a la propuesta de resolución, expediente {expediente}",
        "Que la propuesta de resolución no da respuesta a las alegaciones de {sujeto_recurso}.",
        "Que se deje sin efecto la propuesta y se archive el expediente {expediente}.",
    ),
    (
        "extraordinario de revision",
        "Recurso extraordinario de revisión, expediente {expediente}",
        "Que han aparecido documentos de valor esencial que evidencian el error de la resolución.",
        "Que se revise y anule la resolución del expediente {expediente}.",
    ),
    (
        "subsanacion",
        "Subsanación, expediente {expediente}",
        "Que {sujeto_recurso} subsana en plazo los defectos señalados en el requerimiento.",
        "Que se tenga por subsanado el escrito y continúe el expediente {expediente}.",
    ),
    (
        "reclamaciones",
        "Reclamación, expediente {expediente}",
        "Que {sujeto_recurso} no está conforme con el acto que se reclama.",
        "Que se estime la reclamación en el expediente {expediente}.",
    ),
    (
        "requerimiento embargo",
        "Oposición al requerimiento de embargo, expediente {expediente}",
        "Que no se ha notificado en forma la providencia de apremio a {sujeto_recurso}.",
        "Que se deje sin efecto el embargo del expediente {expediente}.",
    ),
    (
        "sancion",
        "Recurso de reposición contra la sanción, expediente {expediente}",
        "Que la resolución sancionadora no está motivada y {sujeto_recurso} la impugna en plazo.",
        "Que se estime el recurso y se anule la sanción del expediente {expediente}.",
    ),
    (
        "apremio",
        "Recurso contra la providencia de apremio, expediente {expediente}",
        "Que la sanción no era firme cuando se dictó la providencia de apremio.",
        "Que se anule la providencia de apremio del expediente {expediente}.",
    ),
    (
        "embargo",
        "Recurso contra la diligencia de embargo, expediente {expediente}",
        "Que {sujeto_recurso} impugna la diligencia de embargo por falta de notificación.",
        "Que se anule la diligencia de embargo del expediente {expediente}.",
    ),
]


def forwards(apps, schema_editor):
    motivo = apps.get_model("brain", "Motivo")
    for position, (key, asunto, expone, solicita) in enumerate(MOTIVOS, start=1):
        motivo.objects.get_or_create(
            organismo=None,
            key=key,
            defaults={
                "position": position * 10,
                "asunto": asunto,
                "expone": expone,
                "solicita": solicita,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("brain", "0001_initial")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
