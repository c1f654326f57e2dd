/** An error that a user can fix. Its message is one sentence for the page. */
export class Problem extends Error {}
