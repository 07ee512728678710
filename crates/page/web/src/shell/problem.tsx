// What is shown instead of what was asked for.

export function Problem({ title, text }: { title: string; text: string }) {
  return (
    <div class="problem" role="alert">
      <strong>{title}</strong>
      <p>{text}</p>
    </div>
  );
}
