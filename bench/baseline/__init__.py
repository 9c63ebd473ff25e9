"""What one writes first, to compare with: FastAPI, a Celery task for each request, a SQLModel session in each task.

Three files are the service (`tables`, `service`, `tasks`), and the others measure it beside Onefold:
`make bench ARGS="baseline"`. The service takes requests as Onefold does and keeps profiles as rows with a document.
"""
